import pytest, collections
from tests.truth.running import *
from tests.truth.machine import Machine
pytestmark=[pytest.mark.django_db(transaction=True), pytest.mark.leases]
def test_p(pytestconfig, monkeypatch):
    L=[]; 
    def td(self): L.append(self.n)
    real=Machine.happens
    monkeypatch.setattr(Machine,"teardown",lambda self: L.append(type(self).steps))
    with world("redis", pytestconfig) as made:
        f=Figures(1)
        for _ in run(made,f,steps=2000): print(L); L.clear()
