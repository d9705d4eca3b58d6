"""Where a caller may send this server: nowhere private, whatever the place is called."""

from __future__ import annotations

import ipaddress

import httpx2
import pytest

from fastembed.pipeline.errors import ConfigError
from fastembed.server.fetching.url_policy import RefusedUrl, UrlPolicy, is_public
from fastembed.server.settings import ServerSettings

ANY = UrlPolicy.of(["*"])


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "2606:4700::6810:84e5", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_public_internet_are_public(address):
    assert is_public(ipaddress.ip_address(address))
    assert ANY.admits(address, 443)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.10", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
        "169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "192.0.0.192", "198.18.0.1", "192.0.2.1",
        "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "168.63.129.16",
        "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001::1",
        "2001:db8::1", "2002:7f00:1::", "100::1", "5f00::1", "not an address",
    ],
)  # fmt: skip
def test_every_other_address_is_refused(address):
    assert not ANY.admits(address, 80)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a", "file:///etc/passwd", "gopher://example.org/", "data:text/plain,a", "//example.org/a",
        "a",         "http://user:secret@example.org/", "http://user@example.org/", "http:///a", "http://2130706433/",
        "http://0x7f000001/", "http://0x7f.1/", "http://127.1/", "http://0177.0.0.1/", "http://127.0.0.1.5/",
        "http://[fe80::1%25eth0]/", "http://example.org:22/", "http://example.org:8080/", "https://example.org:99999/",
    ],
)  # fmt: skip
def test_a_url_that_is_not_plain_is_refused(url):
    with pytest.raises((RefusedUrl, httpx2.InvalidURL), match=r"^found .*, expected |^Invalid IPv4 address"):
        ANY.check(httpx2.URL(url))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "HTTPS://EXAMPLE.org/a?b#c",
        "https://example.org:443/",
        "http://ünï.de/",
        "http://8.8.8.8/",
    ],
)
def test_a_plain_url_is_taken_where_any_host_is(url):
    ANY.check(httpx2.URL(url))


@pytest.mark.parametrize(
    ("rule", "taken", "refused"),
    [
        ("example.org", "http://example.org./a", "http://www.example.org/"),
        ("Example.org", "https://example.org/", "https://example.org.evil.net/"),
        ("*.example.org", "https://a.b.example.org/", "https://evilexample.org/"),
        ("example.org:8080", "http://example.org:8080/", "http://example.org/"),
        ("10.0.0.0/8", "http://10.1.2.3/", "http://11.1.2.3/"),
        ("127.0.0.1:8123", "http://127.0.0.1:8123/", "http://127.0.0.1/"),
        ("[fd00::/8]:8080", "http://[fd00::1]:8080/", "http://[fe80::1]:8080/"),
        ("fd00::1", "http://[fd00::1]/", "http://[fd00::2]/"),
    ],
)
def test_a_rule_names_its_places_and_no_others(rule, taken, refused):
    policy = UrlPolicy.of([rule])
    policy.check(httpx2.URL(taken))
    with pytest.raises(RefusedUrl):
        policy.check(httpx2.URL(refused))


def test_a_private_address_is_reached_only_where_a_rule_names_it():
    policy = UrlPolicy.of(["nas.example", "192.168.1.0/24", "127.0.0.1:8123"])
    assert policy.admits("192.168.1.5", 80)
    assert policy.admits("::ffff:192.168.1.5", 443)
    assert policy.admits("127.0.0.1", 8123)
    assert not policy.admits("192.168.2.5", 80)
    assert not policy.admits("192.168.1.5", 8123)
    assert not UrlPolicy.of(["nas.example"]).admits("192.168.1.5", 80)


@pytest.mark.parametrize(
    "rule", ["", "http://example.org", "a b", "*.*", "example.org:0", "example.org:70000", "0x7f.1", "1"]
)
def test_what_is_no_rule_is_refused_at_the_start(rule):
    with pytest.raises(ConfigError, match="for --allow-url, expected"):
        ServerSettings(allow_urls=(rule,))


def test_nothing_is_allowed_by_default():
    assert not ServerSettings().urls
