package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// running is a lister.
type running []string

func (r running) Labs(context.Context) ([]string, error) { return r, nil }

func TestResolveRef(t *testing.T) {
	cmd := new(app).upCommand()
	for _, test := range []struct {
		arg     string
		file    bool // lab.yaml is there
		running lister
		want    ref
		usage   bool
	}{
		{arg: "-", want: ref{fromFile, "-"}},
		{arg: "a.yaml", want: ref{fromFile, "a.yaml"}},
		{arg: "a.yml", want: ref{fromFile, "a.yml"}},
		{arg: "./campus", running: running{"campus"}, want: ref{fromFile, "./campus"}},
		{arg: "campus", running: running{"campus"}, want: ref{fromRunning, "campus"}},
		{arg: "quickstart", running: running{"campus"}, want: ref{fromShipped, "quickstart"}},
		{arg: "quickstart", running: running{"quickstart"}, want: ref{fromRunning, "quickstart"}},
		{arg: "quickstart", want: ref{fromShipped, "quickstart"}},
		{arg: "nowhere", running: running{"campus"}, usage: true},
		{arg: "", file: true, running: running{"campus"}, want: ref{fromFile, "lab.yaml"}},
		{arg: "", running: running{"campus"}, want: ref{fromRunning, "campus"}},
		{arg: "", running: running{"campus", "city"}, usage: true},
		{arg: "", usage: true},
	} {
		t.Chdir(t.TempDir())
		if test.file {
			if err := os.WriteFile(defaultFile, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := resolveRef(context.Background(), cmd, test.arg, test.running)
		if usage := new(usageError); errors.As(err, usage) != test.usage || err != nil && !test.usage {
			t.Errorf("%q with %v running: error %v", test.arg, test.running, err)
		}
		if err == nil && got != test.want {
			t.Errorf("%q with %v running is %v, want %v", test.arg, test.running, got, test.want)
		}
	}
}

func TestLabsCopy(t *testing.T) {
	t.Chdir(t.TempDir())
	status, stdout, stderr := nslab("", "labs", "copy", "quickstart")
	if status != 0 || stdout != "quickstart.yaml\n" || stderr != "" {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	_, shown, _ := nslab("", "labs", "show", "quickstart")
	copied, err := os.ReadFile("quickstart.yaml")
	if err != nil || string(copied) != shown {
		t.Errorf("the copy is not what `labs show` prints: %v", err)
	}
	if status, _, stderr := nslab("", "labs", "copy", "quickstart"); status != statusUsage {
		t.Errorf("a second copy: status %d, %s", status, stderr)
	}
}

func TestSurvived(t *testing.T) {
	wanted := errors.New("as ever")
	if err := survived("campus", func() error { return wanted }); err != wanted {
		t.Errorf("survived gives %v, want the error of f", err)
	}
	err := survived("campus", func() error { panic("a mistake") })
	if err == nil || !strings.HasPrefix(errorText(err), "test campus: this is a bug in nslab: a mistake\nhint: ") || exitStatus(err) != statusKernel {
		t.Errorf("survived gives %v, want an error with the panic", err)
	}
}
