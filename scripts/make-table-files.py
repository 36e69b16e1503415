"""Makes the files of crates/deepfit-data/tests/tables/: one table in many formats, written by Arrow's own library, and small
tables of texts and image files. The tests hold every file against kinds.csv, which is written here value by value.

    .venv/bin/python scripts/make-table-files.py
"""

import csv
import datetime
import decimal
import gzip
import io
import json
import pathlib

import numpy
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

OUT = pathlib.Path(__file__).parent.parent / "crates/deepfit-data/tests/tables"
ROWS = 60


def table():
    """Values of every kind, some of them missing in all columns but the target."""
    random = numpy.random.default_rng(7)
    day = datetime.date(2023, 12, 20)
    moment = datetime.datetime(2024, 2, 28, 22, 30, 15, 250_000)
    words = ["red", "green", "blue", "é, \"quoted\"", "two\nlines"]

    def column(values, type, every=7):
        start = random.integers(every or 1)
        return pa.array([None if every and i % every == start else value for i, value in enumerate(values)], type)

    numbers = random.normal(size=ROWS)
    return pa.table({
        "whole": column([int(i * i - 40) for i in range(ROWS)], pa.int64()),
        "small": column([i % 11 - 5 for i in range(ROWS)], pa.int8()),
        "large": column([2**64 - 1 - i * 10**15 for i in range(ROWS)], pa.uint64()),
        "four": column([3 * 10**9 + i for i in range(ROWS)], pa.uint32()),
        "double": column([round(float(x) * 1000) / 64 for x in numbers], pa.float64()),
        "single": column([float(numpy.float32(round(float(x), 3))) for x in numbers], pa.float32()),
        "half": column(numpy.float16([i / 8 for i in range(ROWS)]), pa.float16()),
        "flag": column([bool(x > 0.3) for x in random.uniform(size=ROWS)], pa.bool_()),
        "word": column([words[i] for i in random.integers(len(words), size=ROWS)], pa.string()),
        "category": column([words[i] for i in random.integers(3, size=ROWS)], pa.string()).dictionary_encode(),
        "note": column([f"row {i} of {ROWS}" for i in range(ROWS)], pa.string()),
        "date": column([day + datetime.timedelta(days=5 * i) for i in range(ROWS)], pa.date32()),
        "moment": column([moment + datetime.timedelta(hours=31 * i) for i in range(ROWS)], pa.timestamp("us")),
        "zoned": column([moment.replace(microsecond=0) - datetime.timedelta(days=9000 * (i % 5)) for i in range(ROWS)],
                        pa.timestamp("ms", tz="UTC")),
        "time": column([datetime.time(i % 24, i % 60, 1, 500_000) for i in range(ROWS)], pa.time64("us")),
        "price": column([decimal.Decimal(int(i * 37 - 500)).scaleb(-2) for i in range(ROWS)], pa.decimal128(9, 2)),
        "wide": column([decimal.Decimal(10**20 * (i - 30) + i).scaleb(-3) for i in range(ROWS)], pa.decimal128(38, 3)),
        "empty": pa.array([None] * ROWS, pa.float64()),
        "y": column([["no", "yes"][int(x > 0)] for x in numbers], pa.string(), 0),
    })


def text_of(value, type):
    """What stands for a value in a table of text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value == int(value):
            return str(int(value))
        return str(numpy.float32(value)) if type == pa.float32() else repr(value)
    if isinstance(value, datetime.datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S")
        return text + (f".{value.microsecond:06}".rstrip("0") if value.microsecond else "")
    if isinstance(value, datetime.time):
        return repr(value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6)
    return str(value)


def rows_of(of):
    columns = [[text_of(value, column.type) for value in column.to_pylist()] for column in of.columns]
    return [list(row) for row in zip(*columns)]


def csv_of(of):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(of.column_names)
    writer.writerows(rows_of(of))
    return out.getvalue()


def json_lines_of(of):
    lines = []
    for row in of.to_pylist():
        values = {}
        for name, value in row.items():
            kind = of.schema.field(name).type
            as_number = isinstance(value, (bool, int)) or (isinstance(value, float) and kind != pa.float32())
            values[name] = value if value is None or as_number else text_of(value, kind)
            if isinstance(value, float) and value == int(value):
                values[name] = int(value)
        lines.append(json.dumps(values, ensure_ascii=False) + "\n")
    return "".join(lines)


def write_arrow(of, path, stream=False, **options):
    make = pa.ipc.new_stream if stream else pa.ipc.new_file
    with make(str(path), of.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(of, max_chunksize=17)


def main():
    OUT.mkdir(exist_ok=True)
    kinds = table()
    (OUT / "kinds.csv").write_text(csv_of(kinds))
    (OUT / "kinds.csv.gz").write_bytes(gzip.compress(csv_of(kinds).encode(), mtime=0))
    tabs = csv_of(kinds.select([name for name in kinds.column_names if name not in ("word", "category")]))
    (OUT / "tabs.tsv.gz").write_bytes(gzip.compress(tabs.replace(",", "\t").encode(), mtime=0))
    half = csv_of(kinds).encode()
    frames = [pa.compress(part, "zstd", asbytes=True) for part in (half[:3000], half[3000:])]
    (OUT / "kinds.csv.zst").write_bytes(b"".join(frames))
    (OUT / "kinds.jsonl").write_text(json_lines_of(kinds))
    (OUT / "kinds.jsonl.gz").write_bytes(gzip.compress(json_lines_of(kinds).encode(), mtime=0))

    def write(name, of=kinds, **options):
        parquet.write_table(of, OUT / f"{name}.parquet", **options)

    write("plain", compression="none", use_dictionary=False)
    write("snappy", compression="snappy", row_group_size=25)
    write("gzip", compression="gzip", data_page_version="2.0", row_group_size=50)
    write("zstd", compression="zstd", row_group_size=7, write_page_checksum=True)
    write("lz4", compression="lz4", data_page_size=64, write_batch_size=8)
    write("pages", compression="snappy", data_page_size=64, write_batch_size=4, data_page_version="2.0",
          dictionary_pagesize_limit=16)
    write("version1", version="1.0", use_deprecated_int96_timestamps=True, store_decimal_as_integer=True,
          of=kinds.set_column(12, "moment", kinds["moment"].cast(pa.timestamp("ns"))).drop_columns(["four"])
          .append_column("four", kinds["four"].cast(pa.int64())).select(kinds.column_names))
    integers = ("whole", "small", "large", "four", "date", "moment", "zoned", "time")
    encodings = {name: "DELTA_BINARY_PACKED" for name in integers}
    encodings |= {"double": "BYTE_STREAM_SPLIT", "single": "BYTE_STREAM_SPLIT", "half": "BYTE_STREAM_SPLIT"}
    encodings |= {"note": "DELTA_BYTE_ARRAY", "word": "DELTA_LENGTH_BYTE_ARRAY", "flag": "RLE"}
    write("deltas", compression="zstd", use_dictionary=False, column_encoding=encodings)

    write_arrow(kinds, OUT / "file.arrow")
    write_arrow(kinds, OUT / "stream.arrow", stream=True)
    write_arrow(kinds, OUT / "zstd.arrow", compression="zstd")
    feather.write_feather(kinds, OUT / "kinds.feather", compression="lz4")
    views = kinds.set_column(10, "note", kinds["note"].cast(pa.string_view()))
    views = views.set_column(8, "word", views["word"].cast(pa.large_string()))
    views = views.set_column(15, "price", views["price"].cast(pa.decimal256(50, 2)))
    views = views.set_column(17, "empty", pa.nulls(ROWS))
    write_arrow(views, OUT / "views.arrow")

    others = OUT / "others"
    others.mkdir(exist_ok=True)
    nested = pa.table({"a": [1, 2], "tags": [["x"], []], "y": [0, 1]})
    parquet.write_table(nested, others / "nested.parquet")
    feather.write_feather(nested, others / "nested.feather", compression="uncompressed")
    parquet.write_table(pa.table({"a": [1, 2], "b": [{"c": 1}, {"c": 2}]}), others / "structs.parquet")
    parquet.write_table(pa.table({"a": [1.5, 2.5], "y": [0, 1]}), others / "brotli.parquet", compression="brotli")
    parquet.write_table(kinds.slice(0, 0), others / "empty.parquet")
    feather.write_feather(kinds.slice(0, 0), others / "empty.feather", compression="uncompressed")
    parquet.write_table(pa.table({"a": [b"\xff\xfe", b"x"], "y": [0, 1]}), others / "bytes.parquet")

    random = numpy.random.default_rng(3)
    good, bad = ["warm", "kind", "bright", "gentle"], ["cold", "harsh", "dull", "rough"]
    texts, labels = [], []
    for row in range(80):
        words = [good, bad][row % 2]
        texts.append(" ".join(["the day was", *random.choice(words, 3), "and", f"long {row}"]))
        labels.append(["fine", "poor"][row % 2])
    reviews = pa.table({"review": texts, "mood": labels})
    parquet.write_table(reviews, others / "reviews.parquet")
    write_arrow(reviews, others / "reviews.arrow", stream=True)
    (others / "reviews.jsonl.gz").write_bytes(gzip.compress(json_lines_of(reviews).encode(), mtime=0))
    files = pa.table({"file": [f"{i}.png" for i in range(20)], "shade": [["dark", "light"][i % 2] for i in range(20)]})
    parquet.write_table(files, others / "pictures.parquet")


if __name__ == "__main__":
    main()
