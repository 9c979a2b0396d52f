package supervisor

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nslab/netsetup"
	"nslab/netsetup/failpoint"
)

// logLimit bounds a log, in bytes. What is older is kept once, as *.log.old.
const logLimit = 4 << 20

// LogFile is where what a process of a node writes is kept.
func LogFile(lab, node, process string) string {
	return filepath.Join(dir(lab), "logs", node, process+".log")
}

func dir(lab string) string { return filepath.Join(netsetup.RunDir, lab) }

// openLog opens a log to be written to. The process writes to the file itself,
// so that it goes on without the supervisor.
func openLog(path string) (*os.File, error) {
	var log *os.File
	err := failpoint.Around("supervisor.log", func() (err error) {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			log, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		}
		return err
	})
	return log, err
}

// bound cuts a log that has grown over the limit. The process goes on writing to
// the same file: that is why it is emptied, and not given another name. What is
// written between copying and emptying is lost.
func bound(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() <= logLimit {
		return err
	}
	last, err := io.ReadAll(io.NewSectionReader(f, st.Size()-logLimit, logLimit))
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".old", last, 0o640); err != nil {
		return err
	}
	return f.Truncate(0)
}

// lastLines gives at most n lines of the end of a log, from an offset on.
func lastLines(path string, from int64, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil
	}
	if st.Size() < from {
		from = 0 // it was cut meanwhile
	}
	const enough = 16 << 10
	from = max(from, st.Size()-enough)
	text, err := io.ReadAll(io.NewSectionReader(f, from, enough))
	if err != nil || len(text) == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return lines[max(0, len(lines)-n):]
}

// Tail reads a log line by line as it grows.
type Tail struct {
	path   string
	offset int64
	rest   []byte // a line whose end is not there yet
}

// NewTail reads a log from the beginning.
func NewTail(path string) *Tail { return &Tail{path: path} }

// Lines gives the lines that have come to their end since the last call. A log
// that is not there has none.
func (t *Tail) Lines() ([]string, error) {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Size() < t.offset {
		t.offset = 0 // it was cut
	}
	text, err := io.ReadAll(io.NewSectionReader(f, t.offset, st.Size()-t.offset))
	if err != nil {
		return nil, err
	}
	t.offset += int64(len(text))
	text = append(t.rest, text...)
	end := bytes.LastIndexByte(text, '\n') + 1
	t.rest = bytes.Clone(text[end:])
	if end == 0 {
		return nil, nil
	}
	return strings.Split(string(text[:end-1]), "\n"), nil
}

// Rest gives a last line that has no end, and forgets it.
func (t *Tail) Rest() string {
	s := string(t.rest)
	t.rest = nil
	return s
}

// Pause is between two looks at a log that is followed.
const Pause = 100 * time.Millisecond
