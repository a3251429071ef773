"""What a holder of the token may and may not do: nothing reaches a file, a command or another server."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.local.clickhouse import start_clickhouse
from streams.local.process import HOST, free_port
from tests.streams.embedded_store import ask

SECRET = "never-to-be-read"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A store with a database `d` and tables `d.t` and `d.u`."""
    port = free_port()
    child = start_clickhouse(tmp_path_factory.mktemp("rules"), port)
    url = f"http://{HOST}:{port}"
    try:
        for statement in (
            "CREATE DATABASE d",
            "CREATE TABLE d.t (a UInt32, s String) ENGINE = MergeTree ORDER BY a",
            "CREATE TABLE d.u (a UInt32, s String) ENGINE = MergeTree ORDER BY a",
            "INSERT INTO d.t VALUES (1, 'x')",
        ):
            assert ask(url, statement)[0] == 200
        yield url
    finally:
        child.stop()


class Listener(http.server.BaseHTTPRequestHandler):
    """Counts who comes."""

    visits = 0

    def do_GET(self) -> None:
        Listener.visits += 1
        self.send_error(404)

    do_POST = do_HEAD = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A file to read, a folder to write to, a server to ask: what no statement may touch."""
    folder = tmp_path_factory.mktemp("outside")
    (folder / "secret.txt").write_text(f"{SECRET}\n")
    server = http.server.ThreadingHTTPServer((HOST, 0), Listener)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {"F": str(folder / "secret.txt"), "W": str(folder), "U": f"http://{HOST}:{server.server_port}/x"}
    server.shutdown()
    server.server_close()


ATTACKS = """
DROP DATABASE system
DROP DATABASE `main`
DROP DATABASE IF EXISTS INFORMATION_SCHEMA
RENAME DATABASE system TO x
SELECT * FROM file('F', LineAsString)
SELECT file('F')
SELECT `FILE`('F')
select /* x */ File /* y */ ( 'F' )
SELECT arrayMap(file, ['F'])
SELECT * APPLY file FROM (SELECT 'F' AS a)
SELECT * APPLY (x -> file(x)) FROM (SELECT 'F' AS a)
WITH file('F') AS x SELECT x
SELECT * FROM `F`
SELECT * FROM 'F'
SELECT * FROM default.`F`
SELECT * FROM {p:Identifier}
SELECT a IN file('F', LineAsString, 'a String') FROM d.t
SELECT * FROM d.t WHERE s IN (SELECT * FROM file('F', LineAsString))
SELECT * FROM (SELECT * FROM (SELECT * FROM "file"('F', LineAsString)))
SELECT * FROM view(SELECT * FROM file('F', LineAsString))
SELECT * FROM loop(file('F', LineAsString)) LIMIT 1
SELECT * FROM eval('SELECT * FROM file(''F'', LineAsString)')
SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM file('F', LineAsString)))
SELECT * FROM fileCluster('default', 'F', LineAsString)
SELECT * FROM filesystem('W')
SELECT * FROM icebergLocal('W')
SELECT * FROM sqlite('F', 't')
EXPLAIN SELECT * FROM file('F', LineAsString)
EXPLAIN TABLE OVERRIDE mysql('127.0.0.1:1', 'a', 'b', 'c', 'd') COLUMNS (a Int8)
DESCRIBE TABLE file('F')
DESC url('U')
EXISTS TABLE file('F')
SELECT 1 INTO OUTFILE 'W/out'
SELECT 1 into/**/outfile 'W/out' TRUNCATE FORMAT TSV
SHOW TABLES INTO OUTFILE 'W/out'
INSERT INTO d.u (s) FROM INFILE 'F' FORMAT LineAsString
INSERT INTO d.u FROM INFILE 'F' COMPRESSION 'none' FORMAT CSV
INSERT INTO d.u (s) SELECT * FROM file('F', LineAsString)
INSERT INTO FUNCTION file('W/out', TSV, 'a Int8') VALUES (1)
INSERT INTO FUNCTION url('U', TSV, 'a Int8') SELECT 1
INSERT INTO TABLE FUNCTION file('W/out', TSV, 'a Int8') FORMAT TSV 1
SELECT * FROM url('U', TSV, 'a String')
SELECT * FROM urlCluster('default', 'U', TSV, 'a String')
SELECT * FROM remote('127.0.0.1:1', system.one)
SELECT * FROM cluster('default', system.one)
SELECT * FROM s3('U', TSV)
SELECT * FROM gcs('U', TSV)
SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', TSV)
SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')
SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')
SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'e Int8')
SELECT * FROM redis('127.0.0.1:1', 'k', 'k String, v String')
SELECT * FROM odbc('DSN=x', 'a', 'b')
SELECT * FROM jdbc('x', 'a', 'b')
SELECT * FROM executable('id', TSV, 'a String')
SELECT * FROM executable('id', TSV, 'a String', (SELECT 1))
SELECT * FROM Python(os)
SELECT * FROM python('os')
CREATE DICTIONARY d.x (a String, b String) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'touch W/out' FORMAT TSV)) LAYOUT(COMPLEX_KEY_DIRECT())
CREATE DICTIONARY d.x (a String, b String) PRIMARY KEY a SOURCE(FILE(PATH 'F' FORMAT TSV)) LAYOUT(COMPLEX_KEY_DIRECT())
CREATE DICTIONARY d.x (a String, b String) PRIMARY KEY a SOURCE(HTTP(URL 'U' FORMAT TSV)) LAYOUT(COMPLEX_KEY_DIRECT())
SELECT * FROM dictionary('d.x')
CREATE TABLE d.x (a String) ENGINE = File(TSV, 'F')
CREATE TABLE d.x (a String) ENGINE = URL('U', TSV)
CREATE TABLE d.x (a String) ENGINE = Executable('id', TSV)
CREATE TABLE d.x (a String) ENGINE = ExecutablePool('id', TSV)
CREATE TABLE d.x (a String) ENGINE = EmbeddedRocksDB(0, 'W/out') PRIMARY KEY a
CREATE TABLE d.x (a String) ENGINE = S3('U', TSV)
CREATE TABLE d.x (a String) ENGINE = Distributed('default', d, t)
CREATE TABLE d.x (a String) ENGINE = FileLog('W', TSV)
CREATE TABLE d.x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = local, path = 'W/out/')
CREATE TABLE d.x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS disk = disk(type = web, endpoint = 'U')
CREATE TABLE d.x (a Int8) ENGINE = MergeTree ORDER BY a SETTINGS index_granularity = 8, storage_policy = 'x'
CREATE TABLE d.x AS file('F', LineAsString)
CREATE TABLE d.x (a String DEFAULT file('F')) ENGINE = Memory
CREATE VIEW d.x AS SELECT * FROM file('F', LineAsString)
CREATE MATERIALIZED VIEW d.x ENGINE = Executable('id', TSV) AS SELECT s FROM d.t
CREATE MATERIALIZED VIEW d.x TO d.u AS SELECT a, file('F') AS s FROM d.t
CREATE MATERIALIZED VIEW d.x REFRESH EVERY 1 SECOND TO d.u AS SELECT 1 AS a, * FROM url('U', TSV, 's String')
CREATE DATABASE x ENGINE = Filesystem('W')
CREATE DATABASE x ENGINE = Backup('d', File('W/out'))
CREATE DATABASE x ENGINE = SQLite('F')
CREATE DATABASE x ENGINE = MySQL('127.0.0.1:1', 'a', 'b', 'c')
CREATE DATABASE x ENGINE = Atomic SETTINGS disk = disk(type = local, path = 'W/out/')
CREATE FUNCTION f AS (x) -> file(x)
CREATE USER u IDENTIFIED BY 'x'
CREATE NAMED COLLECTION n AS a = 1
GRANT ALL ON *.* TO default
ATTACH TABLE d.x FROM 'W' (a String) ENGINE = MergeTree ORDER BY a
ATTACH DATABASE x ENGINE = Filesystem('W')
DROP TABLE IF EXISTS d.x PARALLEL WITH ATTACH TABLE d.x FROM 'W' (a String) ENGINE = Log
ALTER TABLE d.t MODIFY SETTING disk = 'x'
ALTER TABLE d.t FREEZE WITH NAME 'x'
ALTER TABLE d.t UPDATE s = file('F') WHERE 1
ALTER USER default IDENTIFIED BY 'x'
BACKUP DATABASE d TO File('W/out')
BACKUP TABLE d.t TO Disk('default', 'x')
RESTORE DATABASE d AS e FROM File('W/out')
SYSTEM SHUTDOWN
SYSTEM KILL
SYSTEM FLUSH LOGS
SYSTEM STOP MERGES
DETACH TABLE d.t
EXECUTE AS default SELECT 1
SELECT 1; SELECT file('F')
SELECT 1; SET readonly = 0; CREATE DATABASE x
SELECT 1 AS x FORMAT Template SETTINGS format_template_row = 'F'
SELECT 1 AS x FORMAT Template SETTINGS max_threads = 1, format_template_resultset = 'F'
SELECT (SELECT 1 SETTINGS format_schema = 'F:M')
SELECT 1 AS x FORMAT Protobuf SETTINGS format_schema = 'F:M'
SELECT 1 AS x FORMAT Protobuf SETTINGS output_format_schema = 'W/out'
SELECT * FROM format(AvroConfluent, 'a Int8', 'x') SETTINGS format_avro_schema_registry_url = 'U'
SELECT * FROM format(CSV, 'a Int8', 'x') SETTINGS input_format_record_errors_file_path = 'W/out'
SELECT 1 SETTINGS select = 'file(''F'')'
SELECT 1 SETTINGS additional_result_filter = 'file(''F'') != '''''
SELECT 1 SETTINGS dialect = 'kusto'
SET dialect = 'prql'
SET select = 'file(''F'')'
SET profile = 'x'
SELECT reverseDNSQuery('127.0.0.1')
SELECT aiGenerate('x', 'y')
SELECT addressToLine(1)
""".strip().splitlines()  # noqa: E501


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_statement_that_reaches_out_is_refused(url: str, outside: dict[str, str], attack: str) -> None:
    """Refused for everybody, with the token, whatever the case, the quotes and the comments."""
    statement = attack
    for name, value in outside.items():
        statement = statement.replace(f"'{name}", f"'{value}").replace(f"`{name}", f"`{value}")
        statement = statement.replace(f" {name}/", f" {value}/")
    visits = Listener.visits
    status, answer, _ = ask(url, statement, param_p=outside["F"])
    assert 400 <= status < 500, (status, answer)
    assert SECRET not in answer
    assert Listener.visits == visits
    folder = Path(outside["W"])
    assert [path.name for path in folder.iterdir()] == ["secret.txt"]
    assert ask(url, "SELECT count() FROM d.u")[:2] == (200, "0\n")
    assert ask(url, "EXISTS DATABASE x")[:2] == (200, "0\n")


@pytest.mark.parametrize(
    ("name", "value"),
    [("select", "file('F')"), ("filter", "1"), ("dialect", "prql"), ("format_template_row", "F"),
     ("output_format_schema", "F"), ("additional_table_filters", "{'d.t':'file(s)'}"), ("profile", "x")],
)  # fmt: skip
def test_a_setting_in_the_url_is_held_to_the_same(url: str, name: str, value: str) -> None:
    status, answer, _ = ask(url, "SELECT * FROM d.t", params={name: value})
    assert 400 <= status < 500, answer
    assert name in answer


@pytest.mark.parametrize("form", ["Template", "DataFrame", "ArrowTable", "No.Such", ""])
def test_a_format_that_is_none_is_an_error(url: str, form: str) -> None:
    status, answer, _ = ask(url, "SELECT 1 AS a", headers={"X-ClickHouse-Format": form})
    assert status in ((200,) if not form else (400, 403, 500)), answer
    assert ask(url, "SELECT 1")[0] == 200


HARMLESS = """
SELECT 1;
(SELECT 1) UNION ALL (SELECT 2)
WITH 1 AS x SELECT x
SELECT 'INTO OUTFILE ''x''', 'file(1)' AS `ENGINE = File`
SELECT url, log(s3) FROM (SELECT 1 AS url, 2 AS s3)
SELECT x.file FROM (SELECT 1 AS file) AS x
SELECT count() FROM numbers(10)
SELECT * FROM values('a Int8', 1)
SELECT * FROM format(JSONEachRow, '{"a": 1}')
SELECT * FROM merge('d', '^t$') SETTINGS max_threads = 1, log_comment = 'why'
SELECT * FROM d.t FORMAT JSONCompact
SHOW TABLES FROM d
SHOW CREATE TABLE d.t
DESCRIBE TABLE d.t
EXISTS TABLE d.t
CHECK TABLE d.t
EXPLAIN indexes = 1 SELECT * FROM d.t
CREATE TABLE d.y (a Int8, b String, t DateTime TTL t + INTERVAL 1 DAY) ENGINE = ReplacingMergeTree ORDER BY a SETTINGS index_granularity = 1024
CREATE VIEW d.v AS SELECT * FROM d.y
CREATE MATERIALIZED VIEW d.m ENGINE = MergeTree ORDER BY a AS SELECT a FROM d.y
INSERT INTO d.y SELECT 1, 'x', now()
ALTER TABLE d.y ADD COLUMN c Int8, MODIFY COMMENT 'x'
ALTER TABLE d.y UPDATE b = 'y' WHERE a = 1
DELETE FROM d.y WHERE a = 1
OPTIMIZE TABLE d.y FINAL
RENAME TABLE d.y TO d.z
TRUNCATE TABLE d.z
DROP VIEW d.m
DROP VIEW d.v
DROP TABLE d.z SYNC
KILL QUERY WHERE query_id = 'x' SYNC
CREATE TABLE y (a Int8) ENGINE = Memory
DROP TABLE y
USE d
SET max_threads = 1
""".strip().splitlines()  # noqa: E501


def test_what_people_do_with_tables_works(url: str) -> None:
    for statement in HARMLESS:
        status, answer, _ = ask(url, statement)
        assert status == 200, (statement, answer)


def test_a_read_only_request_cannot_free_itself(url: str) -> None:
    for settings in ({"readonly": "0"}, {"readonly": "1"}):
        assert "READONLY" in ask(url, query="CREATE DATABASE x", get=True, params=settings)[1]
    for statement in ("CREATE DATABASE x SETTINGS readonly = 0", "INSERT INTO d.u SELECT 1, 'x'"):
        assert "READONLY" in ask(url, query=statement, get=True)[1]
    assert "READONLY" in ask(url, query="SELECT 1 SETTINGS readonly = 0", get=True)[1]
    assert ask(url, query="SELECT getSetting('readonly')", get=True, max_threads="1")[1] == "2\n"
    assert ask(url, "SELECT count() FROM d.u")[1] == "0\n"
