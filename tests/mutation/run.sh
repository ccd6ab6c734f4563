#!/bin/sh
# A copy of the last commit goes to a folder outside it; mutmut bends one operator or constant of it after another there,
# and says which bends no test noticed. Nothing here changes the tree itself.
#
#   tests/mutation/run.sh core|protocol FOLDER SEED [MUTANT-PATTERN …]
#
# The mutants come in an order that SEED draws, those that match a pattern first (shuffled.py): however far a run comes,
# it is a sample. Interrupted, it goes on where it stopped when it is called again with the same folder and seed.
# Needs `pip install mutmut==3.8.1`.
set -eu
cd "$(dirname "$0")/../.."
part=$1 folder=$2 seed=$3
shift 3
tree=$PWD
python=$PWD/.venv/bin/python
if [ ! -d "$folder/interlock" ]; then
    mkdir -p "$folder"
    git archive HEAD interlock tests config docs pyproject.toml | tar -x -C "$folder"
    cat "tests/mutation/$part.toml" >>"$folder/pyproject.toml"
    # The same examples for every mutant, and few of them.
    cat >>"$folder/tests/conftest.py" <<'END'
settings.register_profile("mutation", deadline=None, derandomize=True, max_examples=30)
settings.load_profile("mutation")
END
fi
cd "$folder"
nice -n 19 "$python" "$tree/tests/mutation/shuffled.py" "$seed" 2 "$@" ||
    echo "mutmut ended with $?" >&2
"$python" -m mutmut results --all true >results.txt
"$python" "$tree/tests/mutation/score.py" results.txt
