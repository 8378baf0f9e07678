"""The checks of notebook 13 tell right answers from the likely wrong ones, in one line; the table is as published."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from dl4mir_utils import checks
from dl4mir_utils.checks.map import MYSTERY
from dl4mir_utils.paths import course_file

PAPERS = pd.read_csv(course_file("dl4m/dl4m.tsv"), sep="\t")
AUTHORS = PAPERS["Author"].str.split(" and ").str[0]
PLAN = {
    "question": "Can a network tell live recordings from studio ones?",
    "data": "120 songs of ten bands, with their permission",
    "groups": "bands",
    "baseline": "the larger class",
    "metric": "accuracy",
    "error_bar": "a bootstrap over the bands",
}
ROW = {
    "Year": 2024,
    "Title": "Beat this! Accurate beat tracking without DBN postprocessing",
    "Link": "https://arxiv.org/abs/2407.21658",
    "Task": "Beat detection",
    "Code": "https://github.com/CPJKU/beat_this",
}


def said(capsys):
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_the_table_is_as_published_and_its_licence_lies_beside_it():
    table = course_file("dl4m/dl4m.tsv")
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    assert digest == "b20685db1cd2f3f8a8fa034b047d11a392b0552b9b89454aa8d59e45ba11cf4a"
    assert "Copyright (c) 2017 Yann Bayle" in course_file("dl4m/LICENCE.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("answers", "start"),
    [
        ((None, None, None), "This exercise is still open"),
        ((3, 1, 2), "Right. "),
        ((3, 2, 1), "Not yet. The clean one is right."),
        ((1, 3, 2), "Not yet. Version 1 was rebuilt"),
        ((1, 1, 2), "Not yet. Give each"),
    ],
)
def test_listen(answers, start, capsys):
    checks.check_13_listen(*answers)
    assert said(capsys).startswith(start)


def test_the_mystery_plays_each_version_once():
    samples, mel, mfcc = np.zeros(1), np.ones(1), np.full(1, 2.0)
    played = checks.mystery_inputs(samples, mel, mfcc)
    assert [title for title, _ in played] == ["version 1", "version 2", "version 3"]
    order = dict(zip(MYSTERY, [sound for _, sound in played], strict=True))
    assert order["all samples"] is samples and order["mel bands"] is mel and order["13 MFCC"] is mfcc


@pytest.mark.parametrize(
    ("all_years", "same_years", "wanted"),
    [
        (None, None, "still open"),
        (0.169, None, "still open"),
        (16.9, 2.7, "not per cent"),
        (-0.169, -0.027, "sign is turned"),
        (0.4, 0.37, "0.400 is the share on arXiv"),
        (0.119, 0.027, "0.119 for all years"),
        (0.169, 0.169, "0.169 for 2015 to 2017"),
        (0.169, 0.027, "Right. 0.17 over all years, and 0.03 among papers of the same three years"),
    ],
)
def test_arxiv(all_years, same_years, wanted, capsys):
    checks.check_13_arxiv(all_years, same_years, PAPERS, AUTHORS)
    assert wanted in said(capsys)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (dict.fromkeys(PLAN), "still open"),
        ({"metric": None}, "Still empty: metric."),
        ({"question": "live recordings"}, "no question mark"),
        ({"data": "songs"}, "One word says too little: data."),
        ({"groups": "random clips"}, "a random split leaks"),
        ({"groups": "none"}, "a random split leaks"),
        ({"baseline": "another CNN with fewer layers"}, "a network, too"),
        ({"baseline": "a CNN, and the largest class"}, "Right. "),
        ({"metric": "cross-entropy loss"}, "A loss is for training"),
        ({"error_bar": "five seeds each"}, "Seeds show how lucky"),
        ({"error_bar": "standard deviation over clips"}, "does not name your groups"),
        ({"groups": "villages where it was recorded", "error_bar": "over the villages, by bootstrap"}, "(village)"),
        ({}, "Right. Nothing is missing, and the error bar goes over what is kept apart (band)."),
    ],
)
def test_plan(change, wanted, capsys):
    checks.check_13_plan(PLAN | change)
    assert wanted in said(capsys)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (dict.fromkeys(ROW), "still open"),
        ({"Code": None}, "Still empty: Code."),
        ({"Year": "2024"}, "whole number with four digits, not '2024'"),
        ({"Year": 24}, "whole number with four digits, not 24"),
        ({"Title": "deep learning for music "}, "in the table already"),
        ({"Link": "https://arxiv.org/pdf/2407.21658"}, "meant to last"),
        ({"Link": "https://example.org/paper.pdf"}, "meant to last"),
        ({"Link": "https://doi.org/10.5334/tismir.251"}, "Right. "),
        ({"Year": 2014}, "of 2024, the year 2014"),
        ({"Task": "beat detection"}, "no task 'beat detection'. Do you mean 'Beat detection'?"),
        ({"Task": "Beat detection & Transcription"}, "Right. "),
        ({"Code": "yes"}, "'yes': write the address"),
        ({"Code": "No"}, "Right. "),
        ({}, "Right. A row as good as any of the 167"),
    ],
)
def test_row(change, wanted, capsys):
    checks.check_13_row(ROW | change, PAPERS)
    assert wanted in said(capsys)
