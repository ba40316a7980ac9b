package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the root of the source.
const module = "../.."

// TestMutationsFitTheSource: every mutation changes the present source, and is
// undone. Whoever changes the source sees here which of them to fit to it.
func TestMutationsFitTheSource(t *testing.T) {
	root := t.TempDir()
	for _, m := range table() {
		for _, f := range m.files() {
			text, err := os.ReadFile(filepath.Join(module, f))
			require.NoError(t, err)
			require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(f)), 0o750))
			require.NoError(t, writeFiles(root, map[string]string{f: string(text)}))
		}
	}
	for _, m := range table() {
		t.Run(m.name, func(t *testing.T) {
			before := read(t, root, m.files())
			undo, err := m.apply(root)
			require.NoError(t, err)
			for f, text := range read(t, root, m.files()) {
				require.NotEqual(t, before[f], text)
			}
			require.NoError(t, undo())
			require.Equal(t, before, read(t, root, m.files()))
		})
	}
}

func read(t *testing.T, root string, files []string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(root, f))
		require.NoError(t, err)
		out[f] = string(text)
	}
	return out
}

// TestTable: what an entry needs.
func TestTable(t *testing.T) {
	names := make(map[string]bool)
	for _, m := range table() {
		require.False(t, names[m.name], "%s is there twice", m.name)
		names[m.name] = true
		require.NotEmpty(t, m.rule, m.name)
		require.NotEmpty(t, m.section, m.name)
		require.NotEmpty(t, m.edits, m.name)
		require.NotEmpty(t, m.catch, m.name)
	}
	require.GreaterOrEqual(t, len(names), 18)
}

func TestMutationThatIsOutOfDate(t *testing.T) {
	root := t.TempDir()
	text := map[string]string{"a.go": "one two two\n"}
	require.NoError(t, writeFiles(root, text))
	for _, m := range []mutation{
		{name: "absent", edits: []edit{{"a.go", "three", ""}}},
		{name: "twice", edits: []edit{{"a.go", "two", ""}}},
		{name: "no file", edits: []edit{{"b.go", "one", ""}}},
		{name: "second edit", edits: []edit{{"a.go", "one", "1"}, {"a.go", "three", ""}}},
	} {
		_, err := m.apply(root)
		require.ErrorContains(t, err, "out of date", m.name)
		require.Equal(t, text, read(t, root, []string{"a.go"}), m.name)
	}
}

// TestVerdicts runs the whole on a module of a few lines.
func TestVerdicts(t *testing.T) {
	source := t.TempDir()
	require.NoError(t, writeFiles(source, map[string]string{
		"go.mod":    "module tiny\n\ngo 1.24\n",
		"a.go":      "package tiny\n\nfunc One() int { return 1 }\n\nfunc Two() int { return 2 }\n",
		"a_test.go": "package tiny\n\nimport \"testing\"\n\nfunc TestOne(t *testing.T) {\n\tif One() != 1 {\n\t\tt.Fatal()\n\t}\n}\n\nfunc TestWrong(t *testing.T) { t.Fatal() }\n",
		"notes.txt": "not needed\n",
	}))
	b, err := newBench(options{module: source, limit: 60e9})
	require.NoError(t, err)
	defer b.close()
	require.NoFileExists(t, filepath.Join(b.root, "notes.txt"))

	one := command{pkg: "./", tests: "^TestOne$"}
	tests := []struct {
		name     string
		old, new string
		catch    []command
		by       string
		fault    string
	}{
		{name: "caught", old: "return 1", new: "return 3", catch: []command{one}, by: "`TestOne`"},
		{name: "survives", old: "return 2", new: "return 3", catch: []command{one}},
		{name: "does not compile", old: "return 1", new: "return x", catch: []command{one}, fault: "does not compile"},
		{name: "out of date", old: "return 4", new: "", catch: []command{one}, fault: "out of date"},
		{name: "runs no test", old: "return 1", new: "return 3", catch: []command{{pkg: "./", tests: "^TestThree$"}}, fault: "runs no test"},
		{name: "fails anyway", old: "return 1", new: "return 3", catch: []command{{pkg: "./", tests: "^TestWrong$"}}, fault: "unchanged source"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := b.try(t.Context(), mutation{name: tt.name, edits: []edit{{"a.go", tt.old, tt.new}}, catch: tt.catch})
			require.Equal(t, tt.by != "", v.caught(), v.output)
			if tt.by != "" {
				require.Contains(t, v.catches[0].by, tt.by)
			}
			if tt.fault == "" {
				require.NoError(t, v.fault)
			} else {
				require.ErrorContains(t, v.fault, tt.fault)
			}
		})
	}
	require.Equal(t, "package tiny\n\nfunc One() int { return 1 }\n\nfunc Two() int { return 2 }\n", read(t, b.root, []string{"a.go"})["a.go"])
}
