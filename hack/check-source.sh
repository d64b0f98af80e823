#!/usr/bin/env bash
# Rules that no compiler lint covers: `unsafe` and libc are used only in crates/sys, no Rust file has more than 650
# lines, directories are read by crates/sys because std panics if closing one fails, and only the commands probe the
# host.
set -euo pipefail

cd "$(dirname "$0")/.."
max_lines=650
status=0

while IFS= read -r -d '' file; do
    lines=$(wc -l <"$file")
    if ((lines > max_lines)); then
        echo "$file: $lines lines, at most $max_lines are allowed: split it by subject" >&2
        status=1
    fi
    # The tests have a module of their own, since they are not part of the program.
    [[ $file == crates/sys/* || $file == tests/src/sys.rs ]] && continue
    # A comment may mention it; code may not contain it.
    if grep -nHE '(^|[^_[:alnum:]"])unsafe([^_[:alnum:]"]|$)' "$file" | grep -vE '^[^:]*:[0-9]+: *//'; then
        echo "$file: unsafe code belongs into crates/sys" >&2
        status=1
    fi
    [[ $file == tests/* || $file == crates/fuzz/* || $file == *tests* ]] && continue
    if grep -nHE '(^|[^_[:alnum:]])libc::' "$file"; then
        echo "$file: use the types of nix, or give crates/sys what it lacks" >&2
        status=1
    fi
    # Tests, which are at the end of a file, may probe.
    if [[ $file == crates/*/src/* ]] && awk '/^#\[cfg\(test\)\]/ { exit } /(Host|Machine)::probe/ { print FILENAME ":" FNR ": " $0; found = 1 } END { exit !found }' "$file"; then
        echo "$file: take the host as an argument: it is probed once, by the command" >&2
        status=1
    fi
    if grep -nHE '(^|[^_])read_dir\(' "$file" | grep -vE '^[^:]*:[0-9]+: *//'; then
        echo "$file: std::fs::read_dir panics where the close of a directory fails: use rootling_sys::directory" >&2
        status=1
    fi
done < <(find crates cmd tests -name '*.rs' -not -path '*/target/*' -print0)
exit "$status"
