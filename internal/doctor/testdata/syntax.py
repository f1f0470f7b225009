# Says of each file given (Python or TOML) what is wrong with its syntax.
import ast
import sys
import tomllib

for name in sys.argv[1:]:
    with open(name, encoding="utf-8") as f:
        text = f.read()
    try:
        tomllib.loads(text) if name.endswith(".toml") else ast.parse(text)
    except (SyntaxError, ValueError) as e:
        print(f"{name}: {e}")
