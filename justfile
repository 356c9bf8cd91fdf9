# Recipes for everyday work; `just` lists them.

_list:
    @just --list --unsorted

# Run the gateway: just run [-c other.toml]
run *arguments:
    cargo run --locked -- run {{ arguments }}

# All tests, or those named: just test logout
test *arguments:
    scripts/test {{ arguments }}

# Formatting, lints, documentation
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# Licences, bans and sources of the dependencies (cargo install cargo-deny --locked)
deny:
    cargo deny check licenses bans sources

# Everything that must be green before a change lands
check:
    .ci/run

# Hand the release binary to a benchmark: just bench path/to/bench.py run --only haproxy,portcullis
bench script *arguments:
    cargo build --release --locked
    PORTCULLIS="${CARGO_TARGET_DIR:-$PWD/target}/release/portcullis" {{ script }} {{ arguments }}
