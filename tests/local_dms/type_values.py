"""The types of `values`, and every other base type of PostgreSQL, with values at their ends: as literals."""

from __future__ import annotations

from tests.local_dms.values import TYPES

MORE: dict[str, list[str]] = {
    "smallint": ["0", "-1"],
    "real": ["-0", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "16777217"],
    "double precision": ["NaN", "-Infinity", "-1.7976931348623157e308", "2.2250738585072014e-308"],
    "date": ["0001-01-01", "9999-12-31", "4713-01-01 BC", "-infinity", "5874897-12-31"],
    "timestamp": ["-infinity", "0001-01-01 00:00:00.000001", "9999-12-31 23:59:59.999999", "4713-01-01 00:00:00 BC"],
    "timestamptz": ["infinity", "-infinity", "0001-01-01 00:00:00+00", "1900-01-01 00:00:00.5-12:34"],
    "time": ["00:00:00", "23:59:59.999999"],
    "timetz": ["00:00:00+15:59", "24:00:00-15:59", "23:59:59.999999+00"],
    "interval": ["-infinity", "178000000 years", "-178000000 years", "1 microsecond", "-00:00:00.000001"],
    "numeric(12,2)": ["9999999999.99", "-9999999999.99"],
    "money": ["92233720368547758.07", "0"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "json": ["null", '"\\ud800 alone"', '"\\u0000"', '{"a": 1e999, "a": 2}', "[]"],
    "jsonb": ["null", '{"n": 12345678901234567890.12345, "z": 1e3}', "[]", '"\u2028"'],
    "text": ["NULL", "\u0001\u007f", "\U0001f600\u0301", " trailing  ", "\r\n"],
    "varchar": ["NULL", "", "\U0001f600" * 3],
    "char(3)": ["\u00e9a ", "   "],
    '"char"': ["\\001", "\\377", ""],
    "name": ["x" * 63, ""],
    "bytea": ["\\x00", "\\xfffe", "\\x" + "00" * 300],
    "aclitem": ["postgres=r*w/postgres", "=/postgres"],
    "bit(8)": ["00000000", "11111111"],
    "bit varying(9)": ["", "111111111"],
    "box": ["(-1e308,5e-324),(1e-10,0.1)"],
    "cid": ["0", "4294967295"],
    "circle": ["<(0.1,-0),1e10>"],
    "cidr": ["0.0.0.0/0", "2001:db8::/32"],
    "inet": ["255.255.255.255/0", "::ffff:1.2.3.4", "fe80::1/64"],
    "int2vector": ["", "1 -2 32767"],
    "oidvector": ["", "0 4294967295"],
    "jsonpath": ['$."a"[*]?(@ > 1)', "strict $"],
    "line": ["{1,-1,0.1}"],
    "lseg": ["[(0,0),(1e300,-1)]"],
    "macaddr": ["ff:ff:ff:ff:ff:ff"],
    "macaddr8": ["08:00:2b:ff:fe:01:02:03"],
    "oid": ["1"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1),(2,0.3))"],
    "pg_lsn": ["0/0", "FFFFFFFF/FFFFFFFF"],
    "pg_snapshot": ["10:20:10,14,15"],
    "txid_snapshot": ["10:20:10,14,15"],
    "point": ["(NaN,Infinity)", "(-0,1e-300)"],
    "polygon": ["((0,0),(1,1),(2,0.3))"],
    "refcursor": ["a cursor", ""],
    "regclass": ["pg_class"],
    "regcollation": ['"C"'],
    "regconfig": ["english"],
    "regdictionary": ["simple"],
    "regnamespace": ["pg_catalog"],
    "regoper": ["|/"],
    "regoperator": ["+(integer,integer)"],
    "regproc": ["now"],
    "regprocedure": ["abs(integer)"],
    "regrole": ["postgres"],
    "regtype": ["timestamp with time zone"],
    "tid": ["(0,1)", "(4294967295,65535)"],
    "tsquery": ["'fat' & ( 'rat' | 'cat':AB )", ""],
    "tsvector": ["", "'a b':1A,2C 'c'"],
    "xid": ["0", "4294967295"],
    "xid8": ["0", "18446744073709551615"],
    "int4range": ["(,)", "[-2147483648,2147483647)"],
    "int8range": ["[1,9223372036854775807)", "empty"],
    "numrange": ["(0.1,1e40]", "[,NaN]"],
    "daterange": ["[infinity,)", "[2024-02-28,2024-03-01)"],
    "tsrange": ['("-infinity","2024-01-01 00:00:00.000001"]'],
    "tstzrange": ['["2024-06-01 12:00:00+02","infinity")'],
    "int4multirange": ["{}", "{[1,2),[5,)}"],
    "int8multirange": ["{[1,2)}"],
    "nummultirange": ["{}"],
    "datemultirange": ["{[2024-01-01,2024-01-02),[2024-02-01,)}"],
    "tsmultirange": ['{["2024-01-01 00:00:00","2024-01-02 00:00:00")}'],
    "tstzmultirange": ['{["2024-06-01 12:00:00+02",)}'],
    "bytea[]": ['{"\\\\x00ff",NULL}'],
    "date[]": ["{infinity,0001-01-01}"],
    "interval[]": ['{"1 mon -1 days",infinity}'],
    "jsonb[]": ['{"{\\"a\\": 1}"}'],
    "inet[]": ["{::1,10.0.0.1/8}"],
    "boolean[]": ["{t,f,NULL}"],
    "app.stretch": ["[1.5,2.5)"],
    "app.kind": ["", "a"],
    "app.nested": ['("(1,x)","{1,2}")'],
    "app.address": ["a@b"],
}

NULL_ONLY = (
    *("gtsvector", "pg_brin_bloom_summary", "pg_brin_minmax_multi_summary", "pg_dependencies", "pg_mcv_list"),
    *("pg_ndistinct", "pg_node_tree", "xml"),
)
"""Base types for which this PostgreSQL accepts no input (`xml`: it is built without libxml): columns of null."""


def all_types() -> dict[str, list[str]]:
    """Every type with its literals."""
    found: dict[str, list[str]] = {name: list(literals) for name, literals, _ in TYPES}
    for name, literals in MORE.items():
        found.setdefault(name, []).extend(literals)
    return found | {name: [] for name in NULL_ONLY}
