import os, pytest, collections
from tests.truth.running import *
pytestmark=[pytest.mark.django_db(transaction=True), pytest.mark.leases]
def test_p(pytestconfig, monkeypatch):
    with world(os.environ.get("AL","redis"), pytestconfig) as made:
        f=Figures(int(os.environ["SEED"]))
        for _ in run(made,f,steps=int(os.environ.get("N","2000"))): print(f)
