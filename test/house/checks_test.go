package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"

	"hale/internal/checktype"
)

// asksNobody are the types that ask no server, and so meet none of a server's
// faults: they look at this machine, or run a program.
var asksNobody = []string{
	"exec", "env", "file", "disk", "memory", "load", "files", "process", "port",
	"gunicorn", // its processes, and the kernel's queue in front of them
}

// notOverTCP are the types whose server has no connection to break; their tests
// have tables of faults of their own.
var notOverTCP = []string{"clock"} // NTP is UDP

// Each type of check is run over and over, and each that asks a server meets
// the faults that servers have in common.
func TestEachTypeIsHeldToFaultsAndSoak(t *testing.T) {
	var known []string
	for _, typ := range checktype.Types() {
		known = append(known, typ.Name)
		calls := checktestCalls(t, typ.Name)
		if !calls["Soak"] {
			t.Errorf("no test of checks/%s runs it over and over: call checktest.Soak", typ.Name)
		}
		if !calls["Target.Faults"] && !slices.Contains(asksNobody, typ.Name) && !slices.Contains(notOverTCP, typ.Name) {
			t.Errorf("no test of checks/%s breaks its server: call Faults of a checktest.Target", typ.Name)
		}
	}
	for _, name := range slices.Concat(asksNobody, notOverTCP) {
		if !slices.Contains(known, name) {
			t.Errorf("%q is on a list of this test, but is no type of check", name)
		}
	}
}

// checktestCalls returns what the tests of a type call of package checktest:
// "Soak" for a function, "Target.Faults" for a method of a literal, or of a
// variable that was assigned one.
func checktestCalls(t *testing.T, name string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "checks", name, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	calls := make(map[string]bool)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		literals := make(map[string]string) // of checktest's types, by the variable
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.AssignStmt:
				if name, ok := node.Lhs[0].(*ast.Ident); ok {
					literals[name.Name] = literal(node.Rhs[0])
				}
			case *ast.CallExpr:
				called, ok := node.Fun.(*ast.SelectorExpr)
				if !ok {
					break
				}
				of := literal(called.X)
				if name, ok := called.X.(*ast.Ident); ok {
					of = literals[name.Name]
				}
				switch {
				case isChecktest(called.X):
					calls[called.Sel.Name] = true
				case of != "":
					calls[of+"."+called.Sel.Name] = true
				}
			}
			return true
		})
	}
	return calls
}

// literal returns the name of the type of checktest that an expression is a
// literal of, empty for any other expression.
func literal(expr ast.Expr) string {
	if composite, ok := expr.(*ast.CompositeLit); ok {
		if typ, ok := composite.Type.(*ast.SelectorExpr); ok && isChecktest(typ.X) {
			return typ.Sel.Name
		}
	}
	return ""
}

func isChecktest(expr ast.Expr) bool {
	name, ok := expr.(*ast.Ident)
	return ok && name.Name == "checktest"
}
