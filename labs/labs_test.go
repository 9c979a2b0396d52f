package labs

import (
	"strings"
	"testing"
)

func TestEveryLabIsDescribed(t *testing.T) {
	list := List()
	if len(list) == 0 {
		t.Fatal("no labs are embedded")
	}
	for _, l := range list {
		text, err := Read(l.Name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "# "+l.Name+": "+l.Summary+"\n") {
			t.Errorf("%s.yaml does not begin with a line `# %[1]s: SUMMARY`", l.Name)
		}
		if !strings.Contains(string(text), "\nname: "+l.Name+"\n") {
			t.Errorf("%s.yaml names another lab", l.Name)
		}
		if !strings.Contains(string(text), "expect: ") && !strings.HasPrefix(l.Summary, "namespaces, ") {
			t.Errorf("%s.yaml tests nothing that must not work", l.Name)
		}
	}
}

func TestReadUnknown(t *testing.T) {
	for name, want := range map[string]string{
		"quikstart":  "did you mean `quickstart`?",
		"policy":     "did you mean `policy-routing`?",
		"zzz":        "there are asymmetric-path, bastion, ",
		"":           "there are asymmetric-path, bastion, ",
		"../labs/go": "there are asymmetric-path, bastion, ",
	} {
		_, err := Read(name)
		if err == nil || !strings.Contains(err.Error(), "\nhint: "+want) {
			t.Errorf("Read(%q): %v, want a hint with %q", name, err, want)
		}
	}
}
