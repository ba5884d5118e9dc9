# Everyday work. `just` lists what there is; each line of it runs without just too.

_default:
    @just --list

# Before a commit, under five minutes after a warm build: format, generated files, lints, tests of the packages
check:
    bash tests/check.sh

# Every check and every test, as CI runs them: about an hour
test:
    bash tests/run.sh

# Write what follows from the list of entities
generate:
    cargo xtask generate

# Add an entity; origin is tables, landed or registry
entity name origin="tables":
    cargo xtask new entity {{ name }} {{ origin }}

# Run the demo
demo:
    cargo run -p rcm -- demo

# Check format, generated files and lints before every commit of this clone
hooks:
    git config core.hooksPath .githooks
