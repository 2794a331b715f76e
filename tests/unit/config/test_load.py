"""A configuration file is read whole, or refused with every mistake in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdcd.config.grammar import Place
from cdcd.config.load import DAEMON, LINK, SITE, load
from cdcd.config.schema import Config, Daemon, Link, Site
from cdcd.config.values import rename, rule
from cdcd.errors import ConfigError
from cdcd.route.rules import Rules

TWO_SITES = """
[sites.east]
host = "10.0.1.5"
user = "cdcd"
[sites.west]
host = "10.0.1.6"
user = "cdcd"
"""
ONE_LINK = """
[links.forward]
source = "east"
target = "west"
tables = ["shop.*"]
"""


class Files:
    """Writes configuration files into a folder and loads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "cdcd.toml"

    def load(self, text: str, environment: Mapping[str, str] = {}, *, mode: int = 0o600) -> Config:
        """Load a file with this text."""
        self.path.write_text(text)
        self.path.chmod(mode)
        return load(self.path, environment)

    def problems(self, text: str, environment: Mapping[str, str] = {}, *, mode: int = 0o600) -> list[str]:
        """Return what is wrong with a file with this text."""
        with pytest.raises(ConfigError) as refused:
            self.load(text, environment, mode=mode)
        return refused.value.problems


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Give a folder for configuration files."""
    return Files(tmp_path)


def test_smallest_file_gets_the_defaults(files: Files) -> None:
    """What most people never set has one place that says what it is: the schema."""
    assert Config(
        daemon=Daemon(),
        sites={
            "east": Site(name="east", host="10.0.1.5", user="cdcd"),
            "west": Site(name="west", host="10.0.1.6", user="cdcd"),
        },
        links={"forward": Link(name="forward", source="east", target="west", tables=("shop.*",))},
    ) == files.load(TWO_SITES + ONE_LINK)


def test_every_key_arrives(files: Files) -> None:
    """A key that is read but not kept would be a setting that does nothing."""
    token = files.folder / "token"
    token.touch(mode=0o600)
    token.write_text("t0ken")
    config = files.load(
        """
        [daemon]
        listen = "[::1]:9000"
        log_level = "debug"
        log_format = "console"
        token_file = "token"
        [sites.east]
        host = "db.example"
        port = 3307
        user = "cdcd"
        password_env = "CDCD_EAST"
        password_file = ""
        tls = "required"
        [sites.west]
        socket = "/run/mysqld.sock"
        user = "cdcd"
        [links.forward]
        source = "east"
        target = "west"
        tables = ["shop.*", "crm.cust_[a-m]*"]
        exclude = ["shop.tmp_?"]
        rename = { "shop.orders" = "shop2.orders", "old.*" = "new" }
        where = { "shop.orders" = "region = 'eu'" }
        allow_loss = ["shop.orders.price"]
        operations = ["insert"]
        relay = true
        stages = ["stream"]
        start = "binlog.000003:1234"
        conflict = "overwrite"
        conflict_column = ""
        writers = 64
        batch_transactions_max = 1
        batch_bytes_max = "64KiB"
        transaction_bytes_max = "1GiB"
        queue_bytes_max = 65536
        heartbeat_seconds = 1.5
        own_heartbeat_seconds = 2.5
        """,
        {"CDCD_EAST": "s3cret"},
    )

    east = Site(name="east", host="db.example", port=3307, user="cdcd", password="s3cret", tls="required")
    assert (
        Daemon(listen="[::1]:9000", log_level="debug", log_format="console", token_file=str(token), token="t0ken")
        == config.daemon
    )
    assert {"east": east, "west": Site(name="west", socket="/run/mysqld.sock", user="cdcd")} == config.sites
    assert (
        Link(
            name="forward",
            source="east",
            target="west",
            tables=("shop.*", "crm.cust_[a-m]*"),
            exclude=("shop.tmp_?",),
            rename={"shop.orders": "shop2.orders", "old.*": "new"},
            where={"shop.orders": "region = 'eu'"},
            allow_loss=("shop.orders.price",),
            operations=("insert",),
            relay=True,
            start="binlog.000003:1234",
            writers=64,
            batch_transactions_max=1,
            batch_bytes_max=64 * 1024,
            transaction_bytes_max=1024**3,
            queue_bytes_max=65536,
            heartbeat_seconds=1.5,
            own_heartbeat_seconds=2.5,
        )
        == config.links["forward"]
    )


def test_readers_and_schema_know_the_same_keys() -> None:
    """A key added to one and forgotten in the other would be refused, or never filled."""
    assert set(Daemon.__struct_fields__) == {*DAEMON, "token"}
    assert {*Site.__struct_fields__, "password_file", "password_env"} == {*SITE, "name"}
    assert {*Link.__struct_fields__, "conflict_column"} == {*LINK, "name"}


def test_all_mistakes_are_reported_at_once_with_their_paths(files: Files) -> None:
    """Nobody should have to start a daemon five times to find five mistakes."""
    problems = files.problems(
        """
        [deamon]
        listen = ""
        [daemon]
        log_levle = "info"
        [sites.east]
        host = 5
        [sites.west]
        user = ""
        port = 70000
        [links.forward]
        source = "east"
        target = "wset"
        tables = ["shop", "shop.*", "crm.[z-a]"]
        writters = 4
        [links.reverse]
        target = "east"
        heartbeat_seconds = 0
        """
    )

    assert sorted(
        [
            'deamon: unknown section (did you mean "daemon"?)',
            'daemon.log_levle: unknown key (did you mean "log_level"?)',
            "sites.east.user: is missing",
            "sites.east.host: must be text (got 5)",
            "sites.west.user: must not be empty",
            "sites.west.port: must be a whole number from 1 to 65535 (got 70000)",
            'links.forward.target: no site named "wset" (did you mean "west"?)',
            'links.forward.tables[0]: must be of the form "database.table" (got "shop")',
            "links.forward.tables[2]: has a range that runs backwards: [z-a]",
            'links.forward.writters: unknown key (did you mean "writers"?)',
            "links.reverse.source: is missing",
            "links.reverse.tables: is missing",
            "links.reverse.heartbeat_seconds: must be a number of seconds from 1 to 3600 (got 0)",
        ]
    ) == sorted(problems)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("writers = 0", "writers: must be a whole number from 1 to 64 (got 0)"),
        ("writers = 65", "writers: must be a whole number from 1 to 64 (got 65)"),
        ("writers = true", "writers: must be a whole number from 1 to 64 (got true)"),
        ("writers = 4.0", "writers: must be a whole number from 1 to 64 (got 4.0)"),
        (
            "batch_transactions_max = 0",
            "batch_transactions_max: must be a whole number of at least 1 (got 0)",
        ),
        ('queue_bytes_max = "63KiB"', 'queue_bytes_max: must be from 64KiB to 1GiB (got "63KiB")'),
        ("queue_bytes_max = 65535", "queue_bytes_max: must be from 64KiB to 1GiB (got 65535)"),
        (
            'queue_bytes_max = "64MB"',
            'queue_bytes_max: must be a number of bytes, or a text as "16MiB" (got "64MB")',
        ),
        (
            "queue_bytes_max = true",
            'queue_bytes_max: must be a number of bytes, or a text as "16MiB" (got true)',
        ),
        (
            "heartbeat_seconds = nan",
            "heartbeat_seconds: must be a number of seconds from 1 to 3600 (got nan)",
        ),
        (
            "heartbeat_seconds = 3601",
            "heartbeat_seconds: must be a number of seconds from 1 to 3600 (got 3601)",
        ),
        ("exclude = 'a.b'", 'exclude: must be a list (got "a.b")'),
        ("exclude = [7]", "exclude[0]: must be text (got 7)"),
        ('exclude = ["a.[b"]', 'exclude[0]: has an empty or unclosed bracket at "[b"'),
        ('exclude = ["a.b", "a.b"]', 'exclude[1]: stands twice in the list ("a.b")'),
        (
            'operations = ["upsert"]',
            'operations[0]: must be "insert", "update" or "delete" (got "upsert")',
        ),
        ("operations = []", "operations: must not be empty"),
        ('allow_loss = ["a.b"]', 'allow_loss[0]: must be of the form "database.table.column" (got "a.b")'),
        ('allow_loss = ["a.*.c"]', 'allow_loss[0]: must name one column, without wildcards (got "a.*.c")'),
        ('ddl = "yes"', 'ddl: must be true or false (got "yes")'),
        ("rename = []", "rename: must be a section"),
        (
            'rename = { "a.b" = "c" }',
            'rename."a.b": must be of the form "database.table" (got "c")',
        ),
        (
            'rename = { "a.*" = "c.*" }',
            'rename."a.*": renames a database, so it must be the name of one, as "new" (got "c.*")',
        ),
        (
            'rename = { "a.b*" = "c.d" }',
            'rename."a.b*": must name one table or database, without wildcards (got "a.b*")',
        ),
        (
            'rename = { "a.*" = "mysql" }',
            'rename."a.*": would write into "mysql", which is not for user tables',
        ),
        ('rename = { "a.b" = 5 }', 'rename."a.b": must be text (got 5)'),
        (
            'where = { "a.*" = "x = 1" }',
            'where."a.*": must name one table or database, without wildcards (got "a.*")',
        ),
        ('where = { "a.b" = " " }', 'where."a.b": must not be empty'),
        ('ddl = true\nrename = { "a.*" = "b" }', "ddl: cannot be combined with rename"),
        ("ddl = true\nrelay = true", "ddl: cannot be combined with relay: a relaying link carries rows only"),
        ('conflict = "latest"', 'conflict: must be "overwrite" (got "latest")'),
        ('conflict = { "a.*" = "stop" }', 'conflict: must be "overwrite" (got a table)'),
        (
            'conflict_column = "changed_at"',
            'conflict_column: must be "", since no policy of conflict needs a column (got "changed_at")',
        ),
        ('stages = ["copy", "stream"]', 'stages[0]: must be "stream" (got "copy")'),
        ("stages = []", "stages: must not be empty"),
        (
            'start = "yesterday"',
            'start: must be "now", "earliest", GTIDs as "0-1-100,1-1-7" or a file and an offset as '
            '"binlog.000003:1234" (got "yesterday")',
        ),
        ('start = ""', "start: must not be empty"),
    ],
)
def test_a_wrong_value_of_a_link_is_explained(files: Files, line: str, expected: str) -> None:
    """The message says what may stand there, so that nobody has to look it up."""
    assert [f"links.forward.{expected}"] == files.problems(TWO_SITES + ONE_LINK + line)


@pytest.mark.parametrize("start", ["now", "earliest", "0-1-100", "0-1-100,1-1-7", "binlog.000003:1234"])
def test_a_link_may_start_at_any_kind_of_position(files: Files, start: str) -> None:
    """What `cdcd position` prints, and what a dump's header says, both work."""
    assert start == files.load(f'{TWO_SITES}{ONE_LINK}start = "{start}"').links["forward"].start


@pytest.mark.parametrize("listen", ["127.0.0.1:9180", "localhost:1", "[::1]:65535", ""])
def test_a_listener_may_be_any_address_or_none(files: Files, listen: str) -> None:
    """IPv6 needs brackets to tell address and port apart."""
    assert listen == files.load(f'daemon.listen = "{listen}"\n{TWO_SITES}{ONE_LINK}').daemon.listen


@pytest.mark.parametrize("listen", ["9180", ":9180", "host:0", "host:65536", "host:http", "::1:9180", "a b:1"])
def test_a_listener_that_no_socket_can_have_is_refused(files: Files, listen: str) -> None:
    """It would otherwise fail after the links have started."""
    expected = f'daemon.listen: must be "host:port", or "" for no listener (got "{listen}")'

    assert [expected] == files.problems(f'daemon.listen = "{listen}"\n{TWO_SITES}{ONE_LINK}')


@pytest.mark.parametrize("name", ["a b", "", "x" * 65, "naïve"])
def test_names_that_do_not_fit_the_checkpoint_are_refused(files: Files, name: str) -> None:
    """Site and link names are stored in VARCHAR(64), and stand in metrics and logs."""
    problems = files.problems(f'{TWO_SITES}{ONE_LINK}[sites."{name}"]\nhost = "10.0.1.7"\nuser = "cdcd"')

    shown = name if name == "x" * 65 else f'"{name}"'
    assert [f"sites.{shown}: a name must be 1 to 64 of A-Z a-z 0-9 _ . -"] == problems


def test_names_that_differ_only_in_case_are_refused(files: Files) -> None:
    """The checkpoint table's collation would take them for one."""
    problems = files.problems(f'{TWO_SITES}{ONE_LINK}[sites.EAST]\nhost = "10.0.1.7"\nuser = "cdcd"')

    assert ["sites.EAST: differs from sites.east only in case"] == problems


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('host = "10.0.1.5"', 'host = "10.0.1.5"\nport = 3306'),
        ('host = "DB.example"', 'host = "db.example"'),
        ('host = "localhost"', 'host = "::1"'),
        ('socket = "/run/my.sock"', 'host = "x"\nsocket = "/run/my.sock"'),
    ],
)
def test_one_server_under_two_names_is_refused(files: Files, one: str, other: str) -> None:
    """Its changes would be carried back to it for ever."""
    [problem] = files.problems(f'[sites.east]\nuser = "c"\n{one}\n[sites.west]\nuser = "c"\n{other}\n{ONE_LINK}')

    assert problem.startswith("sites.west: is the same server as sites.east (")


def test_two_ports_of_one_host_are_two_servers(files: Files) -> None:
    """A demo and many a test run both sites on one machine."""
    sites = '[sites.east]\nuser = "c"\nport = 3306\n[sites.west]\nuser = "c"\nport = 3307\n'

    assert ["east", "west"] == list(files.load(sites + ONE_LINK).sites)


def test_a_wrong_port_does_not_make_two_sites_one_server(files: Files) -> None:
    """One mistake is one message."""
    sites = '[sites.east]\nuser = "c"\n[sites.west]\nuser = "c"\nport = "3307"\n'

    assert ['sites.west.port: must be a whole number from 1 to 65535 (got "3307")'] == files.problems(sites + ONE_LINK)


def test_a_link_from_a_site_to_itself_is_refused(files: Files) -> None:
    """It would apply every change twice."""
    link = ONE_LINK.replace('"west"', '"east"')

    assert ["links.forward.target: is the source too: a link needs two sites"] == files.problems(TWO_SITES + link)


def test_two_links_in_one_direction_are_refused_and_two_ways_are_not(files: Files) -> None:
    """Two links that carry one table the same way would both apply its changes."""
    twin = ONE_LINK.replace("forward", "twin")
    reverse = '[links.reverse]\nsource = "west"\ntarget = "east"\ntables = ["shop.*"]\n'

    assert ["forward", "reverse"] == list(files.load(TWO_SITES + ONE_LINK + reverse).links)
    assert [
        "links.twin: two links carry the same direction, east to west (links.forward is the other)"
    ] == files.problems(TWO_SITES + ONE_LINK + twin)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["sites: is missing", "links: is missing"]),
        ("sites = 3\nlinks = 4", ["sites: must be a section", "links: must be a section"]),
        (f"sites.east = 3\n{TWO_SITES.replace('east', 'more')}{ONE_LINK}", ["sites.east: must be a section"]),
        (TWO_SITES + "[links]", ["links: must hold at least one section"]),
        (TWO_SITES + ONE_LINK + "[extra]", ["extra: unknown section"]),
    ],
)
def test_a_file_of_the_wrong_shape_is_explained(files: Files, text: str, expected: list[str]) -> None:
    """A section that is missing or no section yields one message, not a trail of others."""
    assert expected == files.problems(text)


def test_a_syntax_error_names_file_and_line(files: Files) -> None:
    """Nothing else can be checked then, so the place must be exact."""
    [problem] = files.problems('[daemon]\nlisten = "x\n')

    assert problem.startswith(f"{files.path}: ")
    assert "at line 2" in problem


def test_a_file_that_is_not_text_names_the_line(files: Files) -> None:
    """TOML is UTF-8."""
    files.path.write_bytes(b'[daemon]\nlisten = "\xff"\n')

    with pytest.raises(ConfigError) as refused:
        load(files.path)

    assert [f"{files.path}: not UTF-8 text (at line 2)"] == refused.value.problems


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A wrong -c is the commonest mistake of all."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "none.toml")

    assert [f"{tmp_path / 'none.toml'}: No such file or directory"] == refused.value.problems


def with_password(line: str) -> str:
    """Return a whole file whose site east has this line."""
    return TWO_SITES.replace("[sites.east]", f"[sites.east]\n{line}") + ONE_LINK


def test_a_password_in_the_file_needs_a_file_that_others_cannot_read(files: Files) -> None:
    """A secret in a readable file is no secret; the message does not tell it either."""
    text = with_password('password = "s3cret"')

    assert "s3cret" == files.load(text, mode=0o600).sites["east"].password
    for mode in (0o640, 0o604, 0o644):
        assert [
            "sites.east.password: others may read this file, which holds a password; "
            f"run chmod 600 {files.path}, or use password_file or password_env"
        ] == files.problems(text, mode=mode)


def test_a_file_without_a_password_may_be_read_by_all(files: Files) -> None:
    """Only the secret needs hiding."""
    assert (
        "s3cret"
        == files.load(with_password('password_env = "EAST"'), {"EAST": "s3cret"}, mode=0o644).sites["east"].password
    )


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n"])
def test_a_password_file_beside_the_configuration_is_found(files: Files, content: str) -> None:
    """Editors end a file with a newline, which is not part of the password."""
    (files.folder / "east.password").write_text(content)

    assert "s3cret" == files.load(with_password('password_file = "east.password"')).sites["east"].password


def test_only_one_newline_is_taken_off_a_password(files: Files) -> None:
    """A password may end in white space."""
    (files.folder / "east.password").write_text("s3cret \n\n")

    assert "s3cret \n" == files.load(with_password('password_file = "east.password"')).sites["east"].password


def test_a_relative_password_file_is_a_systemd_credential(files: Files) -> None:
    """LoadCredential= keeps the secret out of reach of everyone else on the machine."""
    credentials = files.folder / "credentials"
    credentials.mkdir()
    (credentials / "east").write_text("s3cret")
    (files.folder / "east").write_text("another")
    absolute = with_password(f'password_file = "{files.folder / "east"}"')
    environment = {"CREDENTIALS_DIRECTORY": str(credentials)}

    assert "s3cret" == files.load(with_password('password_file = "east"'), environment).sites["east"].password
    assert "another" == files.load(absolute, environment).sites["east"].password


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('password_file = "s3cret"', ".password_file: cannot read it in {folder}: No such file or directory"),
        ('password_env = "s3cret"', ".password_env: the environment variable that it names is not set"),
        ("password = 53237", ".password: must be text"),
        ('password = "s3cret"\npassword_env = "X"', ": give only one of password, password_env"),
    ],
)
def test_no_message_tells_a_secret(files: Files, line: str, expected: str) -> None:
    """Messages end in journals, and a password may well stand in the wrong key."""
    problems = files.problems(with_password(line), {"X": "s3cret"})

    assert ["sites.east" + expected.format(folder=files.folder)] == problems


def test_a_certificate_authority_is_found_beside_the_configuration(files: Files) -> None:
    """A missing one would otherwise look like a lost connection."""
    (files.folder / "ca.pem").write_text("")

    assert str(files.folder / "ca.pem") == files.load(with_password('tls_ca = "ca.pem"')).sites["east"].tls_ca
    assert [f"sites.east.tls_ca: there is no file {files.folder / 'none.pem'}"] == files.problems(
        with_password('tls_ca = "none.pem"')
    )


def refusal(of: object, *arguments: object) -> bool:
    """Return whether a call raises an error of ours."""
    try:
        of(*arguments)  # type: ignore[operator]
    except (ValueError, ConfigError):
        return True
    return False


PATTERNS = st.text("ab.*?[]!-", max_size=8)


@given(PATTERNS)
def test_a_rule_is_refused_exactly_when_the_router_would_refuse_it(pattern: str) -> None:
    """What loads must not fail later, when the link starts."""
    assert refusal(lambda: Rules([pattern])) == refusal(rule, pattern, Place())


@given(PATTERNS, PATTERNS | st.sampled_from(["mysql", "CDCD", "sys.t"]))
def test_a_renaming_is_refused_exactly_when_the_router_would_refuse_it(old: str, new: str) -> None:
    """What loads must not fail later, when the link starts."""
    assert refusal(lambda: Rules([], rename={old: new})) == refusal(rename, old, new)
