"""Writes addresses.mmdb: three networks from ranges kept for documentation.

    pip install mmdb_writer==0.2.5 && python addresses.py
"""

import pathlib

from mmdb_writer import MMDBWriter
from netaddr import IPSet

writer = MMDBWriter(6, "scorer-test", languages=["en"], ipv4_compatible=True)
writer.insert_network(
    IPSet(["192.0.2.0/24"]),
    {"country": {"iso_code": "GB"}, "traits": {"user_type": "telephone"}},
)
writer.insert_network(
    IPSet(["198.51.100.0/24"]),
    {"country": {"iso_code": "NL"}, "traits": {"user_type": "hosting"}},
)
writer.insert_network(IPSet(["2001:db8::/32"]), {"country": "FR", "is_hosting_provider": True})
writer.to_db_file(str(pathlib.Path(__file__).with_name("addresses.mmdb")))
