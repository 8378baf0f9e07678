import json

import numpy as np

from dl4mir_utils.results import report


def test_report():
    bundle = report(
        "05b", "Scores <1>", [{"system": "svm", "accuracy": np.float32(0.5)}, {"system": "cnn", "seeds": 3}], "4 folds"
    )._repr_mimebundle_()
    payload = bundle["application/vnd.dl4mir.results+json"]
    assert json.loads(json.dumps(payload)) == {
        "notebook": "05b",
        "title": "Scores <1>",
        "columns": ["system", "accuracy", "seeds"],
        "rows": [["svm", 0.5, ""], ["cnn", "", 3]],
        "note": "4 folds",
    }
    assert bundle["text/plain"].splitlines()[1:3] == ["system  accuracy  seeds", "svm     0.5"]
    assert "<caption>Scores &lt;1&gt;</caption>" in bundle["text/html"]
    assert "<td>svm</td><td>0.5</td><td></td>" in bundle["text/html"]
