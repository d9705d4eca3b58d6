import pytest

from fastembed.pipeline.errors import Unauthenticated
from fastembed.server.keys import client_secrets
from fastembed.server.keys.client_secrets import ClientSecrets


def test_a_secret_may_do_what_its_maker_may_until_it_expires() -> None:
    now = [1_000.0]
    secrets = ClientSecrets(clock=lambda: now[0])
    scope = {"owner": "alice", "scopes": frozenset({"audio"}), "path": "/"}
    value, made = secrets.issue(scope, {"type": "realtime"}, 10)
    assert made.expires_at == 1_010
    assert secrets.find(value) is made
    assert made.grants == {"owner": "alice", "scopes": frozenset({"audio"})}
    assert secrets.find("ek_unknown") is None
    assert secrets.find("fe-key") is None
    now[0] = 1_010.0
    with pytest.raises(Unauthenticated, match="expired"):
        secrets.find(value)


def test_the_secrets_are_bounded_and_the_one_that_expires_first_goes(monkeypatch) -> None:
    monkeypatch.setattr(client_secrets, "MOST", 2)
    secrets = ClientSecrets()
    values = [secrets.issue({"owner": ""}, {}, seconds)[0] for seconds in (600, 60, 300)]
    assert [secrets.find(value) is not None for value in values] == [True, False, True]
