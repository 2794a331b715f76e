"""Names in any case and any letters are checked and carried, or refused in words."""

from __future__ import annotations

import asyncio

from cdcd.precheck import precheck
from tests.fixtures.links import running
from tests.integration.precheck.conftest import configure

TABLES = (
    "CREATE DATABASE `Dätä` CHARACTER SET utf8mb4; CREATE TABLE `Dätä`.`Tabelle_é` ("
    "`schlüssel` INT PRIMARY KEY, `wért` VARCHAR(9),"
    " `P` INT, UNIQUE KEY `ключ` (`wért`), CONSTRAINT `fk_ü` FOREIGN KEY (`P`) REFERENCES `Tabelle_é` (`schlüssel`)"
    " ON DELETE CASCADE); CREATE TABLE `Dätä`.`表` (id INT PRIMARY KEY)"
)
LOWER = {"lower-case-table-names": "1"}
LATIN = {"skip-character-set-client-handshake": "1", "character-set-server": "latin1"}


async def test_a_target_that_folds_names_is_checked_and_written_to(server_factory):
    """It reports its tables under other names than it was asked for, and knows them all the same."""
    east, west = server_factory(LATIN), server_factory(LOWER)
    for server in (east, west):
        server.sql(f"SET NAMES utf8mb4; {TABLES}")
    config = configure(east, west, "Dätä")
    assert [] == await precheck(config)
    async with running(config.links["forward"], east, west) as link:
        change = "SET NAMES utf8mb4; INSERT INTO `Dätä`.`Tabelle_é` VALUES (1, 'ä', NULL), (2, 'ö', 1)"
        await asyncio.to_thread(east.sql, f"{change}; INSERT INTO `Dätä`.`表` VALUES (1)")
        await link.caught_up()
    assert [(1, "ä", None), (2, "ö", 1)] == west.sql("SELECT * FROM `Dätä`.`Tabelle_é`")

    paired = [problem for problem in await precheck(configure(east, west, "Dätä", paired=True)) if problem.is_error]

    assert "links.reverse.tables" == paired[0].path
    assert "west stores the names of tables in lower case" in paired[0].text
    assert '"dätä.*"' in paired[0].fix
