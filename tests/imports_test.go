// Package tests holds what concerns the house as a whole.
package tests

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "diskv"

// pure are the packages that decide. They take the time, the disk's answers and
// chance as inputs, so that the same inputs always give the same outputs.
var pure = []string{"paxos", "replica", "kv", "shard", "shardmaster", "handover"}

// arrows says which packages of this module each may import. A directory
// without a line may import none, and everything below a directory has that
// one's line unless it has its own. Programs and tests may import anything.
var arrows = map[string][]string{
	"wal":         {"internal/wire"},
	"snapshot":    {"internal/wire"},
	"paxos":       {"internal/wire"},
	"replica":     {"paxos", "internal/wire"},
	"shard":       {"internal/wire"},
	"kv":          {"shard", "internal/record", "internal/wire", "internal/resp"},
	"shardmaster": {"shard", "internal/record", "internal/wire", "internal/resp"},
	"handover":    {"kv", "shard", "shardmaster", "internal/resp"},
	"client":      {"shard", "internal/resp"},
	"server": {
		"server", "replica", "paxos", "kv", "handover", "shard", "shardmaster", "wal", "snapshot",
		"internal/resp", "internal/wire",
	},
	// Tools read directories with the code of those who write them, and run nothing.
	"inspect":         {"replica", "paxos", "kv", "shard", "shardmaster", "wal", "snapshot", "internal/resp"},
	"internal/record": {"internal/wire"},
	// What carries bytes between peers knows nothing of what they mean.
	"server/transport": {"internal/wire"},
}

// impure are packages, with all below them, that no package that decides may
// import: the clock is covered apart, since durations are welcome.
var impure = []string{
	"crypto/rand", "io/ioutil", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "unsafe",
	"context", "testing", "golang.org/x/sys",
}

// clock are the functions of package time that read the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}

func TestArrows(t *testing.T) {
	for dir, files := range goFiles(t) {
		top, _, _ := strings.Cut(dir, "/")
		if top == "cmd" || top == "tests" {
			continue
		}
		allowed := rule(dir)
		for name, f := range files {
			for _, imp := range importPaths(t, f) {
				inner, ok := strings.CutPrefix(imp, module+"/")
				if ok && inner != dir && !slices.Contains(allowed, inner) && !slices.Contains(allowed, path.Dir(inner)) {
					t.Errorf("%s imports %s; %s may import only %v of this module (ARCHITECTURE.md)", name, imp, dir, allowed)
				}
			}
		}
	}
}

// rule returns the line of arrows for a directory.
func rule(dir string) []string {
	for ; dir != "."; dir = path.Dir(dir) {
		if a, ok := arrows[dir]; ok {
			return a
		}
	}
	return nil
}

func TestDecidersArePure(t *testing.T) {
	checked := 0
	for dir, files := range goFiles(t) {
		top, _, _ := strings.Cut(dir, "/")
		if !slices.Contains(pure, top) {
			continue
		}
		for name, f := range files {
			checked++
			for _, problem := range impurities(t, f) {
				t.Errorf("%s: %s; what decides must be a function of its inputs", name, problem)
			}
		}
	}
	require.NotZero(t, checked)
}

// TestRespKnowsNoNetwork: the codec is shared by the server and the client.
func TestRespKnowsNoNetwork(t *testing.T) {
	files := goFiles(t)["internal/resp"]
	require.NotEmpty(t, files)
	for name, f := range files {
		for _, imp := range importPaths(t, f) {
			require.NotEqual(t, "net", strings.Split(imp, "/")[0], "%s imports %s", name, imp)
		}
	}
}

// TestImpuritiesAreSeen shows that the rules above would find something.
func TestImpuritiesAreSeen(t *testing.T) {
	for _, tt := range []struct{ source, want string }{
		{`import "os"`, "os"},
		{`import "net/http"`, "net/http"},
		{`import "sync/atomic"`, "sync/atomic"},
		{`import "math/rand"`, "math/rand"},
		{`import . "time"`, "dot import"},
		{`import "time"; var x = time.Now`, "time.Now"},
		{`import clock "time"; func f() { clock.Sleep(1) }`, "time.Sleep"},
		{`import "math/rand/v2"; var x = rand.IntN(3)`, "rand.IntN"},
		{`func f() { go f() }`, "goroutine"},
		{`var c chan int`, "channel"},
		{`func f(c interface{}) { select {} }`, "select"},
		{`import "time"; var x time.Duration = time.Second`, ""},
		{`import "math/rand/v2"; var x = rand.New(rand.NewPCG(1, 2))`, ""},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x; "+tt.source, 0)
		require.NoError(t, err, tt.source)
		found := strings.Join(impurities(t, f), "; ")
		if tt.want == "" {
			require.Empty(t, found, tt.source)
		} else {
			require.Contains(t, found, tt.want, tt.source)
		}
	}
}

// impurities lists what in f does not belong into a package that decides.
func impurities(t *testing.T, f *ast.File) []string {
	t.Helper()
	var found []string
	names := map[string]string{} // of the imports that are watched
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		require.NoError(t, err)
		for _, bad := range impure {
			if p == bad || strings.HasPrefix(p, bad+"/") && p != "math/rand/v2" {
				found = append(found, "imports "+p)
			}
		}
		name := path.Base(strings.TrimSuffix(p, "/v2"))
		if imp.Name != nil {
			name = imp.Name.Name
		}
		if name == "." {
			found = append(found, "dot import of "+p)
		}
		if p == "time" || p == "math/rand/v2" {
			names[name] = path.Base(strings.TrimSuffix(p, "/v2"))
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, "starts a goroutine")
		case *ast.ChanType:
			found = append(found, "uses a channel")
		case *ast.SelectStmt:
			found = append(found, "uses select")
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			switch from := names[id.Name]; {
			case from == "time" && slices.Contains(clock, n.Sel.Name),
				from == "rand" && !ownRand(n.Sel.Name):
				found = append(found, "uses "+from+"."+n.Sel.Name)
			}
		}
		return true
	})
	return found
}

// ownRand reports whether a name of math/rand/v2 is a type or makes a generator
// of its own, and so does not draw from the one of the process.
func ownRand(name string) bool {
	return strings.HasPrefix(name, "New") || slices.Contains([]string{"Rand", "Source", "PCG", "ChaCha8", "Zipf"}, name)
}

func importPaths(t *testing.T, f *ast.File) []string {
	t.Helper()
	var out []string
	for _, imp := range f.Imports {
		p, err := strconv.Unquote(imp.Path.Value)
		require.NoError(t, err)
		out = append(out, p)
	}
	return out
}

// goFiles parses the module's Go files, but for tests, by directory and path.
func goFiles(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	root := ".."
	out := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		dir := path.Dir(rel)
		if out[dir] == nil {
			out[dir] = map[string]*ast.File{}
		}
		out[dir][rel] = f
		return nil
	})
	require.NoError(t, err)
	return out
}
