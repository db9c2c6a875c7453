package main

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// moduleRoot is the top of the tree, as seen from this package.
const moduleRoot = "../.."

// dependencies is the text of the deps block in ARCHITECTURE.md. The block is the design. Code that
// does not fit it is wrong until the text has been changed on purpose.
type dependencies struct {
	allowed   map[string][]string // package, or package/pattern.go -> what it may import
	pure      []string            // packages that may not import what is forbidden, nor read a clock
	forbidden []string
	clock     []string // packages that may read the clock
	silent    []string // packages that speak no SQL
}

// sourceFile is one file of the tree that is not a test.
type sourceFile struct {
	pkg, name  string
	imports    []string // within the module relative, without the standard library
	standard   []string
	readsClock string // how, if it does
	speaksSQL  string // how, if it does
}

func TestDependenciesAsDocumented(t *testing.T) {
	d := readDependencies(t)
	files := readSources(t)
	for _, problem := range d.judge(files) {
		t.Error(problem)
	}
}

// judge returns the imports that the text does not allow, and the parts of the text that no longer hold.
func (d dependencies) judge(files []sourceFile) (problems []string) {
	used := map[string]map[string]bool{}
	packages := map[string]bool{}
	for _, f := range files {
		packages[f.pkg] = true
		rules := d.rulesFor(f)
		if _, listed := d.allowed[f.pkg]; !listed {
			problems = append(problems, fmt.Sprintf("package %s has no line in the deps block", f.pkg))
			continue
		}
		for _, imported := range f.imports {
			rule := ""
			for _, candidate := range rules {
				if slices.Contains(d.allowed[candidate], imported) {
					rule = candidate
				}
			}
			if rule == "" {
				problems = append(problems, fmt.Sprintf("%s/%s may not import %s", f.pkg, f.name, imported))
				continue
			}
			if used[rule] == nil {
				used[rule] = map[string]bool{}
			}
			used[rule][imported] = true
		}
		problems = append(problems, d.judgePurity(f)...)
	}
	for rule, imports := range d.allowed {
		if len(imports) == 0 && !packages[rule] {
			problems = append(problems, fmt.Sprintf("the deps block has a line for %s, which is not there", rule))
		}
		for _, imported := range imports {
			if !used[rule][imported] {
				problems = append(problems, fmt.Sprintf("the deps block lets %s import %s, which it does not", rule, imported))
			}
		}
	}
	for _, name := range slices.Concat(d.pure, d.clock, d.silent) {
		if !packages[name] {
			problems = append(problems, fmt.Sprintf("the deps block names %s, which is not there", name))
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// rulesFor are the lines that hold for a file, those of its package and of patterns it matches.
func (d dependencies) rulesFor(f sourceFile) (rules []string) {
	for rule := range d.allowed {
		matches, err := path.Match(rule, f.pkg+"/"+f.name)
		if rule == f.pkg || err == nil && matches {
			rules = append(rules, rule)
		}
	}
	return rules
}

func (d dependencies) judgePurity(f sourceFile) (problems []string) {
	if f.readsClock != "" && !slices.Contains(d.clock, f.pkg) {
		problems = append(problems, fmt.Sprintf("%s/%s reads the clock (%s)", f.pkg, f.name, f.readsClock))
	}
	if f.speaksSQL != "" && slices.Contains(d.silent, f.pkg) {
		problems = append(problems, fmt.Sprintf("%s/%s speaks SQL (%s)", f.pkg, f.name, f.speaksSQL))
	}
	if !slices.Contains(d.pure, f.pkg) {
		return problems
	}
	for _, imported := range f.standard {
		for _, pattern := range d.forbidden {
			if matches, err := path.Match(pattern, imported); err != nil || matches {
				problems = append(problems, fmt.Sprintf("%s/%s is pure and may not import %s", f.pkg, f.name, imported))
			}
		}
	}
	return problems
}

func readDependencies(t *testing.T) dependencies {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "\n```deps\n")
	block, _, ended := strings.Cut(block, "\n```\n")
	if !found || !ended {
		t.Fatal("ARCHITECTURE.md has no ```deps block")
	}
	d, err := parseDependencies(block)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// parseDependencies reads lines "name: imports", where an indented line continues the one
// before, # begins a comment, ~ stands for store/internal/, and pure, forbidden, clock and silent are not
// packages but rules.
func parseDependencies(block string) (d dependencies, err error) {
	d.allowed = map[string][]string{}
	name, lists := "", map[string]*[]string{"pure": &d.pure, "forbidden": &d.forbidden, "clock": &d.clock,
		"silent": &d.silent}
	lines := bufio.NewScanner(strings.NewReader(block))
	for number := 1; lines.Scan(); number++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		line = strings.ReplaceAll(line, "~", "store/internal/")
		if strings.TrimSpace(line) == "" {
			continue
		}
		rest := line
		if line[0] != ' ' && line[0] != '\t' {
			head, after, ok := strings.Cut(line, ":")
			if _, twice := d.allowed[head]; !ok || twice {
				return d, fmt.Errorf("deps block, line %d: %q: want name: imports, each name once", number, line)
			}
			name, rest = head, after
			if lists[name] == nil {
				d.allowed[name] = nil
			}
		}
		if list := lists[name]; list != nil {
			*list = append(*list, strings.Fields(rest)...)
		} else {
			d.allowed[name] = append(d.allowed[name], strings.Fields(rest)...)
		}
	}
	return d, lines.Err()
}

// readSources parses every file of the module that is not a test, for every system.
func readSources(t *testing.T) (files []sourceFile) {
	t.Helper()
	err := filepath.WalkDir(moduleRoot, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && name != moduleRoot:
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := readSource(name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no source files found")
	}
	return files
}

func readSource(name string) (f sourceFile, err error) {
	relative, err := filepath.Rel(moduleRoot, name)
	if err != nil {
		return f, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		return f, err
	}
	f.pkg, f.name = path.Split(filepath.ToSlash(relative))
	f.pkg = path.Clean(f.pkg)
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return f, err
		}
		first, _, _ := strings.Cut(imported, "/")
		switch {
		case imported == "C":
		case first == "ravno":
			f.imports = append(f.imports, strings.TrimPrefix(imported, "ravno/"))
		case strings.Contains(first, "."):
			f.imports = append(f.imports, imported)
		default:
			f.standard = append(f.standard, imported)
		}
	}
	f.readsClock, f.speaksSQL = clockIn(parsed), sqlIn(parsed)
	return f, nil
}

// clockIn finds calls of package time that read the clock.
func clockIn(file *ast.File) (found string) {
	reads := map[string]bool{"Now": true, "Since": true, "Until": true}
	ast.Inspect(file, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" && reads[selector.Sel.Name] {
			found = "time." + selector.Sel.Name
		}
		return true
	})
	return found
}

// sqlIn finds a statement that is run on the connection of a transaction, its field SQL.
func sqlIn(file *ast.File) (found string) {
	ast.Inspect(file, func(n ast.Node) bool {
		method, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if of, ok := method.X.(*ast.SelectorExpr); ok && of.Sel.Name == "SQL" {
			found = "SQL." + method.Sel.Name
		}
		return true
	})
	return found
}

func TestDependencyNotDocumentedIsFound(t *testing.T) {
	d, err := parseDependencies(`
heart:
heart/blood:
limb: heart
  heart/blood example.org/far   # continued
limb/left_*.go: example.org/near
pure: heart
forbidden: os net net/*
clock: limb
silent: heart/blood`)
	if err != nil {
		t.Fatal(err)
	}
	good := []sourceFile{
		{pkg: "heart", name: "a.go", standard: []string{"fmt"}},
		{pkg: "heart/blood", name: "a.go"},
		{pkg: "limb", name: "a.go", imports: []string{"heart", "heart/blood", "example.org/far"}, standard: []string{"os"},
			readsClock: "time.Now"},
		{pkg: "limb", name: "left_b.go", imports: []string{"example.org/near"}},
	}
	if problems := d.judge(good); len(problems) > 0 {
		t.Fatalf("nothing is wrong, but: %q", problems)
	}
	for _, c := range []struct {
		name string
		file sourceFile
		want string
	}{
		{"upwards", sourceFile{pkg: "heart", name: "b.go", imports: []string{"limb"}}, "heart/b.go may not import limb"},
		{"for another file only", sourceFile{pkg: "limb", name: "b.go", imports: []string{"example.org/near"}},
			"limb/b.go may not import example.org/near"},
		{"a disk in the heart", sourceFile{pkg: "heart", name: "b.go", standard: []string{"os"}},
			"heart/b.go is pure and may not import os"},
		{"a network in the heart", sourceFile{pkg: "heart", name: "b.go", standard: []string{"net/http"}},
			"heart/b.go is pure and may not import net/http"},
		{"a clock", sourceFile{pkg: "heart/blood", name: "b.go", readsClock: "time.Since"},
			"heart/blood/b.go reads the clock (time.Since)"},
		{"a statement", sourceFile{pkg: "heart/blood", name: "b.go", speaksSQL: "SQL.Exec"},
			"heart/blood/b.go speaks SQL (SQL.Exec)"},
		{"a stranger", sourceFile{pkg: "tail", name: "b.go"}, "package tail has no line in the deps block"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if problems := d.judge(append(slices.Clone(good), c.file)); !slices.Equal(problems, []string{c.want}) {
				t.Fatalf("found %q, want %q", problems, c.want)
			}
		})
	}
	t.Run("a line that no longer holds", func(t *testing.T) {
		want := []string{"the deps block lets limb/left_*.go import example.org/near, which it does not"}
		if problems := d.judge(good[:3]); !slices.Equal(problems, want) {
			t.Fatalf("found %q, want %q", problems, want)
		}
	})
	if len(slices.Collect(maps.Keys(d.allowed))) != 4 {
		t.Fatalf("read as %v", d.allowed)
	}
}
