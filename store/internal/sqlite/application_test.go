package sqlite

import (
	"bufio"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	driver3 "github.com/mattn/go-sqlite3"
)

// An application is another process: the locks of one process do not keep itself out. It is this test
// program again, told by the environment to be one: each line it reads is a statement, and it answers
// with a line, the first value or the error.

const applicationFile = "RAVNO_TEST_APPLICATION"

func TestMain(m *testing.M) {
	if path := os.Getenv(applicationFile); path != "" {
		if err := serveStatements(path); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serveStatements(path string) error {
	opened, err := (&driver3.SQLiteDriver{}).Open("file:" + path + "?_busy_timeout=0")
	if err != nil {
		return err
	}
	conn := opened.(*driver3.SQLiteConn)
	defer conn.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "sell ") {
			fmt.Println(sell(conn, strings.TrimPrefix(lines.Text(), "sell ")))
			continue
		}
		if lines.Text() == "go through" {
			fmt.Println(goThrough(conn))
			continue
		}
		value, err := firstValue(conn, lines.Text())
		if err != nil {
			value = "error: " + err.Error()
		}
		fmt.Println(value)
	}
	return nil
}

// firstValue runs a statement to its end, without waiting for any lock.
func firstValue(conn *driver3.SQLiteConn, statement string) (string, error) {
	rows, err := conn.Query(statement, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	values, first := make([]driver.Value, len(rows.Columns())), "done"
	for n := 0; ; n++ {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return first, nil
		}
		if err != nil {
			return "", err
		}
		if n == 0 && len(values) > 0 {
			first = fmt.Sprint(values[0])
		}
	}
}

// sell makes transactions that read, think and write, and tells how many of them failed.
func sell(conn *driver3.SQLiteConn, how string) string {
	var count, microseconds int
	if _, err := fmt.Sscan(how, &count, &microseconds); err != nil {
		return "error: " + err.Error()
	}
	failed, why := 0, ""
	for range count {
		for _, statement := range []string{"BEGIN", "SELECT n FROM t WHERE id=1", "UPDATE t SET n=n+1 WHERE id=1", "COMMIT"} {
			if strings.HasPrefix(statement, "UPDATE") {
				time.Sleep(time.Duration(microseconds) * time.Microsecond) // it thinks: this is not the test
			}
			if _, err := firstValue(conn, statement); err != nil {
				failed++
				why = " " + err.Error()
				_, _ = conn.Exec("ROLLBACK", nil) // SQLite may have done so
				break
			}
		}
	}
	return fmt.Sprintf("%d failed%s", failed, why)
}

// goThrough goes through a result and commits each row that it changes, as many programs do in a loop. It
// tells how many of those failed.
func goThrough(conn *driver3.SQLiteConn) string {
	rows, err := conn.Query("SELECT id FROM many", nil)
	if err != nil {
		return "error: " + err.Error()
	}
	defer rows.Close()
	failed, why := 0, ""
	for values := make([]driver.Value, 1); rows.Next(values) == nil; {
		time.Sleep(time.Millisecond) // it thinks: this is not the test
		if _, err := conn.Exec("UPDATE many SET n=n+1 WHERE id=?", values); err != nil {
			failed++
			why = " " + err.Error()
		}
	}
	return fmt.Sprintf("%d failed%s", failed, why)
}

// application is such a process.
type application struct {
	t       *testing.T
	in      io.WriteCloser
	answers chan string
}

func newApplication(t *testing.T, path string) *application {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env, c.Stderr = append(os.Environ(), applicationFile+"="+path), os.Stderr
	in, err := c.StdinPipe()
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	a := &application{t: t, in: in, answers: make(chan string)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			a.answers <- lines.Text()
		}
		close(a.answers)
	}()
	t.Cleanup(func() {
		in.Close()
		for range a.answers { // whatever it still says
		}
		_ = c.Wait()
	})
	return a
}

// begin sends a statement whose answer is read later.
func (a *application) begin(statement string) {
	a.t.Helper()
	_, err := fmt.Fprintln(a.in, statement)
	must(a.t, err)
}

// answer is the answer to the statement that was sent last.
func (a *application) answer() string {
	a.t.Helper()
	select {
	case answer := <-a.answers:
		return answer
	case <-time.After(20 * time.Second):
		a.t.Fatal("the application does not answer")
		return ""
	}
}

// do runs a statement, and fails the test if that does.
func (a *application) do(statement string) string {
	a.t.Helper()
	a.begin(statement)
	answer := a.answer()
	if strings.HasPrefix(answer, "error") {
		a.t.Fatalf("%s: %s", statement, answer)
	}
	return answer
}
