"""The loader of the listening set, against small files of the layout that the archive has."""

import dataclasses
import hashlib
import io
import zipfile

import numpy as np
import pytest
from http_server import Server
from scipy.sparse import csr_array

from dl4mir_utils import BadArgumentError, DataNotFoundError
from dl4mir_utils.data import ListeningSet, load, registry

PLAYS = "userID\tartistID\tweight\r\n2\t51\t13883\r\n2\t52\t11690\r\n5\t51\t7\r\n7\t99\t1\r\n"
# Quotes in names quote nothing, and 100 is tagged by somebody but played by nobody.
ARTISTS = (
    "id\tname\turl\tpictureURL\r\n"
    '99\tThe "Q\thttp://x\t\r\n51\tDuran Duran\thttp://x\thttp://y\r\n52\tSigur Rós\thttp://x\t\r\n100\tNA\thttp://x\t\r\n'
)


@pytest.fixture
def lastfm(tmp_path):
    root = tmp_path / "hetrec2011-lastfm-2k"
    root.mkdir()
    (root / "user_artists.dat").write_bytes(PLAYS.encode())
    (root / "artists.dat").write_bytes(ARTISTS.encode())
    (root / "tags.dat").write_bytes("tagID\ttagValue\r\n1\tnu m\xe9tal\r\n".encode("latin-1"))
    return root


def test_plays_and_names_belong_together(lastfm):
    listening = load("hetrec_lastfm", root=lastfm.parent)
    assert isinstance(listening, ListeningSet)
    assert listening.items.tolist() == ["Duran Duran", "Sigur Rós", 'The "Q']
    np.testing.assert_array_equal(listening.plays.toarray(), [[13883, 11690, 0], [7, 0, 0], [0, 0, 1]])
    assert listening.plays.dtype == np.int32
    assert repr(listening) == "ListeningSet hetrec_lastfm: 3 listeners, 3 items, 44.44% of the pairs played"


def test_fetched_and_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("DL4MIR_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("DL4MIR_MIRROR", raising=False)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:  # no folder around the files, as in the original
        archive.writestr("user_artists.dat", PLAYS)
        archive.writestr("artists.dat", ARTISTS)
    content = content.getvalue()
    known = registry.DATA_SETS["hetrec_lastfm"]
    with Server() as server:
        server.files["/plays.zip"] = content
        checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
        here = dataclasses.replace(known.files[0], url=f"{server.url}/plays.zip", checksum=checksum, size=len(content))
        monkeypatch.setitem(registry.DATA_SETS, "hetrec_lastfm", dataclasses.replace(known, files=(here,)))
        assert load("hetrec_lastfm").plays.sum() == 13883 + 11690 + 7 + 1


def test_a_byte_that_is_not_utf_8_spoils_one_letter(lastfm):
    (lastfm / "artists.dat").write_bytes(ARTISTS.encode().replace("ó".encode(), b"\xf3"))
    assert load("hetrec_lastfm", root=lastfm).items[1] == "Sigur R\ufffds"


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("user_artists.dat", "weight", "count", "user_artists.dat has no column weight"),
        ("user_artists.dat", "\t7", "\tx", "a field is no whole number"),
        ("user_artists.dat", "5\t51\t7", "5\t51\t0", "counts below 1"),
        ("user_artists.dat", "5\t51", "2\t51", "lines twice"),
        ("user_artists.dat", "99", "98", "lacks the artists 98"),
        ("artists.dat", "100", "52", "lines twice"),
        ("artists.dat", None, None, "missing: artists.dat"),
        ("user_artists.dat", None, None, "holds no user_artists.dat"),
    ],
)
def test_damaged_files_are_told(lastfm, file, old, new, message):
    if old is None:
        (lastfm / file).unlink()
    else:
        text = (lastfm / file).read_bytes().decode()
        assert old in text
        (lastfm / file).write_bytes(text.replace(old, new).encode())
    with pytest.raises(DataNotFoundError, match=message):
        load("hetrec_lastfm", root=lastfm)


def test_hold_back_parts_the_pairs():
    plays = csr_array(np.random.default_rng(0).poisson(2, (50, 40)))
    listening = ListeningSet("mine", plays, np.arange(40).astype(str))
    shown, hidden = listening.hold_back(0.3, seed=1)
    np.testing.assert_array_equal((shown + hidden).toarray(), plays.toarray())
    assert not shown.multiply(hidden).nnz, "no pair is in both"
    assert hidden.nnz / plays.nnz == pytest.approx(0.3, abs=0.04)
    again, other = listening.hold_back(0.3, seed=1)[1], listening.hold_back(0.3, seed=2)[1]
    assert not (hidden != again).nnz and (hidden != other).nnz
    for share in (0, 1, 20):
        with pytest.raises(BadArgumentError, match="between 0 and 1"):
            listening.hold_back(share)
