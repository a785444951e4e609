#!/usr/bin/env python3
"""Weaves every mutant that cargo-mutants lists into one copy of the code, each behind a switch, and tries them.

A build a mutant takes hours. So all of them are compiled once: `UNDERPASS_MUTANT=N` turns number N on, and the test
programs are run once for each. What does not compile is `unviable` if it would not by itself either (a type that has no
default), and `unwoven` if only the weaving is to blame (a const function); `run` gives those to cargo-mutants itself.

    weave.py weave LIST CODE OUT    LIST is from `cargo mutants --list --json`; changes the sources in CODE
    weave.py try CODE OUT [RE]      builds the test programs in CODE and tries the mutants whose name has RE
    weave.py examine UNWOVEN        a configuration of cargo-mutants for those
    weave.py table OUT              what came of those that were tried
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

SWITCH = """
/// Which mutant is turned on.
#[doc(hidden)]
#[allow(missing_docs)]
pub mod mutants {
    static ON: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var("UNDERPASS_MUTANT").ok().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
    });
    pub fn on(number: u32) -> bool {
        *ON == number
    }
}
"""

# The test programs that are likely to see a mutant, the likeliest first; the others are tried after them.
KILLERS = {
    "gateway": ["gateway", "trio", "tables"],
    "relay": ["relay", "trio", "edge", "tables"],
    "runner": ["runner", "trio", "tables"],
    "machine": ["core", "gateway", "relay", "runner", "trio"],
    "protocol": ["core", "vectors", "versions", "edge", "pieces", "carry", "properties"],
    "http": ["core", "gateway"],
    "": ["core", "gateway", "relay", "runner", "vectors", "trio"],
}
LAST = ["core", "gateway", "relay", "runner", "trio", "tables", "vectors", "versions", "edge", "pieces", "carry",
        "properties", "names", "fuzz_corpus", "noise", "allocations", "any_version"]
# Errors that come of the weaving: a call in a const function, two types for `impl Trait`.
WOVEN_WRONGLY = {"E0015", "E0308"}
TIMEOUT = 60
MEMORY = 4 << 30


class File:
    """A source file, and what is to be inserted where."""

    def __init__(self, path):
        import tree_sitter
        import tree_sitter_rust

        self.path = path
        self.source = path.read_bytes()
        self.lines = [0] + [at + 1 for at, byte in enumerate(self.source) if byte == 10]
        parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_rust.language()))
        self.root = parser.parse(self.source).root_node
        self.insertions = []

    def offset(self, place):
        start = self.lines[place["line"] - 1]
        line = self.source[start:].split(b"\n", 1)[0].decode()
        return start + len(line[: place["column"] - 1].encode())

    def text(self, node):
        return self.source[node.start_byte : node.end_byte].decode()

    def node(self, start, kinds, wanted):
        """The innermost node of these kinds around `start` that is wanted."""
        node = self.root.descendant_for_byte_range(start, start + 1)
        while node is not None:
            if node.type in kinds and wanted(node):
                return node
            node = node.parent
        return None

    def around(self, number, start, end, before, after):
        """Text before and after a range: of two that begin or end together, the longer is outside."""
        length = end - start
        self.insertions.append((start, 1, -length, -number, before, number))
        if after:
            self.insertions.append((end, 0, length, number, after, number))

    def choose(self, number, start, end, mutated):
        """The mutated expression instead of the one in the range."""
        switch = f"(if crate::mutants::on({number}) {{ {mutated} }} else {{ "
        self.around(number, start, end, switch, " })")

    def add(self, number, mutant):
        start, end = self.offset(mutant["span"]["start"]), self.offset(mutant["span"]["end"])
        replacement = mutant["replacement"]
        match mutant["genre"]:
            case "FnValue":
                if "impl " in mutant["function"]["return_type"]:
                    # Another type than what is behind it.
                    return False
                value = "" if replacement == "()" else f" {replacement}"
                self.around(number, start, start, f"if crate::mutants::on({number}) {{ return{value}; }} ", "")
            case "BinaryOperator":
                kinds = ["binary_expression", "compound_assignment_expr"]
                node = self.node(start, kinds, lambda node: node.child_by_field_name("operator").start_byte == start)
                if node is None:
                    return False
                operator = node.child_by_field_name("operator")
                left = self.source[node.start_byte : operator.start_byte].decode()
                right = self.source[operator.end_byte : node.end_byte].decode()
                self.choose(number, node.start_byte, node.end_byte, left + replacement + right)
            case "UnaryOperator":
                node = self.node(start, ["unary_expression"], lambda node: node.start_byte == start)
                if node is None:
                    return False
                self.choose(number, start, node.end_byte, replacement + self.text(node)[1:])
            case "MatchArmGuard":
                self.choose(number, start, end, replacement)
            case "MatchArm":
                node = self.node(start, ["match_arm"], lambda node: node.start_byte == start)
                pattern = node.child_by_field_name("pattern")
                condition = pattern.child_by_field_name("condition")
                if condition is None:
                    self.around(number, pattern.end_byte, pattern.end_byte, f" if !crate::mutants::on({number})", "")
                else:
                    self.choose(number, condition.start_byte, condition.end_byte, "false")
            case "StructField":
                kinds = ["field_initializer", "shorthand_field_initializer"]
                node = self.node(start, kinds, lambda node: node.start_byte == start)
                base = next((n for n in node.parent.children if n.type == "base_field_initializer"), None)
                if base is None:
                    return False
                base = self.text(base)[2:]
                if node.type == "field_initializer":
                    value, name = node.child_by_field_name("value"), self.text(node.child_by_field_name("field"))
                    self.choose(number, value.start_byte, value.end_byte, f"({base}).{name}")
                else:
                    name = self.text(node)
                    self.around(number, start, start, f"{name}: if crate::mutants::on({number}) "
                                f"{{ ({base}).{name} }} else {{ ", "")
                    self.insertions.append((node.end_byte, 0, 0, number, " }", number))
            case genre:
                raise ValueError(genre)
        return True

    def write(self, left_out):
        """Writes the file anew. What was inserted where, for the compiler's complaints."""
        out, at, places = b"", 0, []
        for place, _, _, _, text, number in sorted(self.insertions):
            if number in left_out:
                continue
            out += self.source[at:place]
            at = place
            places.append((len(out), len(out) + len(text.encode()), number))
            out += text.encode()
        out += self.source[at:]
        self.path.write_bytes(out)
        return places


def weave(list_path, code, out):
    mutants = json.loads(pathlib.Path(list_path).read_text())
    files = {name: File(code / name) for name in sorted({mutant["file"] for mutant in mutants})}
    left_out = {n: "no place for it" for n, mutant in enumerate(mutants) if not files[mutant["file"]].add(n, mutant)}
    lib = code / "core/src/lib.rs"
    lib.write_text(lib.read_text() + SWITCH)
    while True:
        places = {name: file.write(left_out) for name, file in files.items()}
        build = subprocess.run(
            ["cargo", "check", "--locked", "--message-format=json", "-p", "underpass-core"],
            cwd=code, capture_output=True, text=True)
        if build.returncode == 0:
            break
        wrong = {}
        for line in build.stdout.splitlines():
            message = json.loads(line).get("message")
            if not isinstance(message, dict) or message["level"] != "error":
                continue
            found = {number for span in message["spans"] for start, end, number in places.get(span["file_name"], [])
                     if start <= span["byte_start"] < end}
            if not found and message["spans"]:
                print("not from a mutant:", message["rendered"])
            code_of_error = (message["code"] or {}).get("code", "no code")
            for number in found:
                # What is not const, or of another type than what is behind it, may still be a mutant by itself.
                if wrong.get(number) not in WOVEN_WRONGLY:
                    wrong[number] = code_of_error
        if not wrong:
            sys.exit("the woven code does not compile")
        left_out |= wrong
        print(f"{len(left_out)} do not compile when woven in", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    unviable = {number for number, why in left_out.items() if why not in WOVEN_WRONGLY | {"no place for it"}}
    for name, numbers in [("unviable", unviable), ("unwoven", left_out.keys() - unviable)]:
        (out / name).write_text("".join(f"{mutants[number]['name']}\n" for number in sorted(numbers)))
    (out / "list.json").write_text(json.dumps(
        [{"number": n, "name": mutant["name"], "woven": n not in left_out} for n, mutant in enumerate(mutants)]))
    print(collections.Counter(left_out.values()))
    print(f"{len(mutants) - len(left_out)} of {len(mutants)} are woven in")


def folder(name):
    part = name.split("/")[2]
    return part.split(":")[0].removesuffix(".rs")


def programs(code):
    """Builds the test programs. Their names and where they are."""
    build = subprocess.run(
        ["cargo", "test", "--no-run", "--locked", "--message-format=json", "-p", "underpass-core", "--lib",
         "-p", "underpass-tests", "--tests"],
        cwd=code, stdout=subprocess.PIPE, text=True, check=True)
    found = {}
    for line in build.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            name = message["target"]["name"]
            found["core" if name == "underpass_core" else name] = message["executable"]
    return found


def attempt(code, found, number, name):
    """What the test programs make of a mutant: who caught it and how, or nothing."""
    first = KILLERS.get(folder(name), KILLERS[""])
    order = first + [last for last in LAST if last not in first]
    environment = dict(os.environ, UNDERPASS_MUTANT=str(number), PROPTEST_CASES="64")

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    for program in order:
        home = code / ("core" if program == "core" else "tests")
        try:
            done = subprocess.run(
                [found[program], "-q", "--test-threads=1"], cwd=home, env=environment, capture_output=True, text=True,
                errors="replace", timeout=TIMEOUT, preexec_fn=limit)
        except subprocess.TimeoutExpired:
            return "timeout", program
        if done.returncode != 0:
            test = re.search(r"^---- (\S+) stdout ----$", done.stdout, re.M)
            return "caught", f"{program}::{test[1]}" if test else f"{program} (aborted)"
    return "missed", ""


def try_all(code, out, pattern):
    found = programs(code)
    listed = json.loads((out / "list.json").read_text())
    results = out / "results"
    done = {}
    if results.exists() and not pattern:
        done = dict(line.split("|", 1) for line in results.read_text().splitlines())
    chosen = [m for m in listed if m["woven"] and re.search(pattern, m["name"]) and str(m["number"]) not in done]
    # Round robin, so that what is done by any time is a fair sample.
    chosen = [mutant for start in range(40) for mutant in chosen[start::40]]
    jobs = int(os.environ.get("JOBS", "2"))
    began = time.monotonic()
    with results.open("a") as told, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tries = {pool.submit(attempt, code, found, m["number"], m["name"]): m for m in chosen}
        for count, one in enumerate(concurrent.futures.as_completed(tries), 1):
            mutant, (end, by) = tries[one], one.result()
            told.write(f"{mutant['number']}|{end}|{by}|{mutant['name']}\n")
            told.flush()
            if end == "missed" or count % 100 == 0:
                print(f"{count}/{len(chosen)} {time.monotonic() - began:.0f}s {end} {mutant['name']}", flush=True)
    table(out)


def table(out):
    counts = collections.defaultdict(collections.Counter)
    for line in (out / "results").read_text().splitlines():
        _, end, _, name = line.split("|", 3)
        counts[folder(name)][end] += 1
    for end in ["unviable", "unwoven"]:
        for name in (out / end).read_text().splitlines():
            counts[folder(name)][end] += 1
    columns = ["caught", "timeout", "missed", "unviable", "unwoven"]
    print("| folder | " + " | ".join(columns) + " |\n| --- |" + " --- |" * len(columns))
    for name, counted in sorted(counts.items()):
        print(f"| {name} | " + " | ".join(str(counted[column]) for column in columns) + " |")


if __name__ == "__main__":
    # Whole code as the woven one is warned about, and sums that overflow are refused.
    os.environ["RUSTFLAGS"] = "--cap-lints=allow"
    match sys.argv[1:]:
        case ["weave", list_path, code, out]:
            weave(list_path, pathlib.Path(code), pathlib.Path(out))
        case ["try", code, out, *rest]:
            try_all(pathlib.Path(code), pathlib.Path(out), rest[0] if rest else "")
        case ["examine", unwoven]:
            names = pathlib.Path(unwoven).read_text().splitlines()
            print(f"examine_re = {json.dumps([f'^{re.escape(name)}$' for name in names])}")
        case ["table", out]:
            table(pathlib.Path(out))
        case _:
            sys.exit(__doc__)
