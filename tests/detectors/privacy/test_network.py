"""Four small numbers with dots are an address, unless something says that they are a version."""

import pytest

from detectors.privacy.finders import find_all


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('31.13.24.5 - - [10/Oct/2024:13:55:36 +0000] "GET / HTTP/1.1" 200', "31.13.24.5"),
        ("31.13.24.5 2024-10-10 12:00:01 GET /", "31.13.24.5"),
        ("23.22.13.11 GET /index.html", "23.22.13.11"),
        ("X-Forwarded-For: 5.9.12.33", "5.9.12.33"),
        ('{"clientIp":"5.9.12.33"}', "5.9.12.33"),
        ("sourceIPAddress: 23.22.13.11", "23.22.13.11"),
        ("ip,user\n23.22.13.11,bob", "23.22.13.11"),
        ("example.com. 300 IN A 23.22.13.11", "23.22.13.11"),
        ("iptables -A INPUT -s 23.22.13.11 -j DROP", "23.22.13.11"),
        ("rsync x 23.22.13.11:/srv", "23.22.13.11"),
        ("rsync 23.22.13.11:/srv .", "23.22.13.11"),
        ("squid 23.22.13.11 - - [10/Oct", "23.22.13.11"),
        ("tomcat 52.22.13.11", "52.22.13.11"),
        ("curl 5.9.12.33", "5.9.12.33"),
        ("visit from\n31.13.24.5", "31.13.24.5"),
        ("mine is 23.22.13.11", "23.22.13.11"),
        ("remote_addr=5.9.12.33", "5.9.12.33"),
        ("peer_ip=5.9.12.33", "5.9.12.33"),
        ("ssh root@5.9.12.33", "5.9.12.33"),
        ("$ ssh -p 2222 ann@23.22.13.11 uptime", "23.22.13.11"),
        ("scp backup.tar.gz ann@31.13.24.5:/srv/", "31.13.24.5"),
        ("sftp user@5.9.12.33", "5.9.12.33"),
        ("rsync -avz ./ www@5.9.12.33:backup", "5.9.12.33"),
        ("root@5.9.12.33:~# ls", "5.9.12.33"),
        ("log in as ubuntu@23.22.13.11 with the key", "23.22.13.11"),
        ("ann@5.9.12.33's password:", "5.9.12.33"),
        ("ann@23.22.13.11: Permission denied (publickey).", "23.22.13.11"),
        ("ftp://ann@5.9.12.33/x", "5.9.12.33"),
        ("sip:100@23.22.13.11", "23.22.13.11"),
        ("jenkins 18.52.20.5 is down", "18.52.20.5"),
        ("failed login at gitlab 13.52.20.5", "13.52.20.5"),
        ("failed login at git 13.52.20.5", "13.52.20.5"),
        ("postfix 23.64.3.90, relay", "23.64.3.90"),
        ("prometheus 8.8.4.4 is slow", "8.8.4.4"),
        ("our squid (18.52.20.5)", "18.52.20.5"),
        ("HAProxy 8.8.4.4", "8.8.4.4"),
        ("grafana 3.20.41.7 answered", "3.20.41.7"),
        ("zoom 3.7.35.60", "3.7.35.60"),
        ("from office 5.9.12.13 came a login", "5.9.12.13"),
        ("spark 34.64.4.11 lost", "34.64.4.11"),
        ("the reader 5.9.12.13", "5.9.12.13"),
        ("it came over rsync 23.22.13.11 at night", "23.22.13.11"),
    ],
)
def test_a_small_address_needs_no_word_beside_it(text: str, address: str) -> None:
    assert [text[each.start : each.end] for each in find_all(text)] == [address]


@pytest.mark.parametrize(
    "text",
    [
        "ver. 3.12.0.4 is out",
        "pip install foo==1.2.3.4 bar~=2.0.1.7",
        "libfoo-bar 1.2.3.4",
        "python-foo (1.2.3.4)",
        "the package was tagged 5.9.12.33",
        "## 5.9.12.33 (2022-06-07)",
        "1.4.2.7 Bug fixes",
        "see section 4.3.2.1",
        "build 5.9.12.33",
        "`1.2.3.4`",
        "npm i foo@1.2.3.4",
        "ssh x && npm i pkg@1.2.3.4",
        "conan install zlib@1.2.13.1:shared",
        "spack install ssh@8.9.1.2",
        "lib@5.9.12.33: fixed",
        "pkg@1.2.3.4's license",
        "mysql 8.0.36.1",
        "postgres@16.2.0.1",
        "ssh git@10.1.2.3",
        "we run rsync 3.2.7.1 here",
        "ImageMagick 6.9.11.60 crashes",
        "Acrobat Reader 11.0.3.37",
        "built with gcc (12.2.0.3)",
        "git 2.39.1.1 and bash 5.2.15.1",
        "7-Zip 9.20.0.4",
        "log4j 2.17.1.3",
    ],
)
def test_what_is_numbered_like_a_version_is_none(text: str) -> None:
    assert find_all(text) == []


@pytest.mark.parametrize(
    "word",
    [
        "versie",
        "wersja",
        "wersji",
        "verze",
        "версия",
        "версию",
        "версія",
        "sürüm",
        "versi",
        "الإصدار",
        "phiên bản",
    ],
)
def test_a_version_is_no_address_in_other_languages_either(word: str) -> None:
    assert find_all(f"{word} 8.0.36.12") == []
    assert [each.kind for each in find_all(f"{word}: 3, server 8.8.4.4")] == ["IP_ADDRESS"]
