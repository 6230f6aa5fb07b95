"""Which machines a named file may be fetched from: public ones, by the address that was looked at."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from consent_proxy.adapters.addresses import NotPublic, PublicResolver, is_public


@pytest.mark.parametrize("address", ["93.184.216.34", "8.8.8.8", "2606:2800:220:1::1946", "::ffff:8.8.8.8"])
def test_a_public_machine_may_be_asked(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "127.8.9.1",
            "0.0.0.0",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
        ),
        *("169.254.169.254", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:7f00:1"),
        *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::7f00:1"),
        *("2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1"),
        *("", "localhost", "2130706433", "0x7f.1", "127.1"),
    ],
)
def test_every_other_machine_may_not(address: str) -> None:
    assert not is_public(address)


class Told(AbstractResolver):
    """Answers with these addresses, in turn."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.answers.pop(0)
        ]

    async def close(self) -> None:
        pass


async def test_a_host_with_one_address_that_is_not_public_is_not_asked() -> None:
    resolver = PublicResolver(exempt=frozenset(), resolver=Told(["8.8.8.8", "10.0.0.1"]))
    with pytest.raises(NotPublic):
        await resolver.resolve("media.test", 443)


async def test_a_host_is_looked_up_once_and_its_answer_is_what_is_connected_to() -> None:
    told = Told(["8.8.8.8"], ["127.0.0.1"])
    found = await PublicResolver(exempt=frozenset(), resolver=told).resolve("media.test", 443)
    assert ([result["host"] for result in found], told.asked) == (["8.8.8.8"], 1)


async def test_this_machine_is_reached_by_a_listed_name_alone() -> None:
    found = await PublicResolver(exempt=frozenset({"localhost"}), resolver=Told(["127.0.0.1"])).resolve("localhost")
    assert [result["host"] for result in found] == ["127.0.0.1"]
