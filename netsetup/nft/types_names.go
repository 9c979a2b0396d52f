package nft

import (
	"bufio"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/user"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files of names, each line a number and a name. One that is not there has none.
const (
	rtMarksFile   = "/etc/iproute2/rt_marks"
	rtRealmsFile  = "/etc/iproute2/rt_realms"
	groupFile     = "/etc/iproute2/group"
	connLabelFile = "/etc/connlabel.conf"
	cgroupFolder  = "/sys/fs/cgroup"
)

// readNames gives the names in a file of numbers and names. Numbers are decimal
// or hexadecimal; # begins a comment.
func readNames(file string) []Symbol {
	f, err := os.Open(file)
	if err != nil {
		return nil // it need not be there, nor be for everybody to read
	}
	defer f.Close()
	var names []Symbol
	for lines := bufio.NewScanner(f); lines.Scan(); {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) != 2 {
			continue
		}
		digits, base := words[0], 10
		if hex, ok := strings.CutPrefix(digits, "0x"); ok {
			digits, base = hex, 16
		}
		if n, err := strconv.ParseUint(digits, base, 32); err == nil {
			names = append(names, Symbol{Name: words[1], Value: n})
		}
	}
	return names
}

// numberOrName reads a number, or a name that is in a file.
func numberOrName(text, file string) (*big.Int, error) {
	if v, ok := number(text); ok {
		return v, nil
	}
	symbols := readNames(file)
	names := make([]string, len(symbols))
	for i, s := range symbols {
		if s.Name == text {
			return new(big.Int).SetUint64(s.Value), nil
		}
		names[i] = s.Name
	}
	return nil, &unknownName{expected: "a number, or a name of " + file, names: names}
}

func parseMark(text string, bits int) ([]byte, error)     { return parseNamed(text, rtMarksFile, bits) }
func parseRealm(text string, bits int) ([]byte, error)    { return parseNamed(text, rtRealmsFile, bits) }
func parseDevGroup(text string, bits int) ([]byte, error) { return parseNamed(text, groupFile, bits) }

func parseNamed(text, file string, bits int) ([]byte, error) {
	v, err := numberOrName(text, file)
	if err != nil {
		return nil, err
	}
	return fit(v, bits)
}

// ctLabelBits is how many labels a connection can have.
const ctLabelBits = 128

// parseCtLabel gives the bit of a label; a number is the number of a bit.
func parseCtLabel(text string, bits int) ([]byte, error) {
	v, err := numberOrName(text, connLabelFile)
	if err != nil {
		return nil, err
	}
	if !v.IsUint64() || v.Uint64() >= ctLabelBits {
		return nil, fmt.Errorf("%w, expected a bit of 0 to %d", errRange, ctLabelBits-1)
	}
	return fit(new(big.Int).Lsh(big.NewInt(1), uint(v.Uint64())), bits)
}

func parseUID(text string, bits int) ([]byte, error) {
	if v, ok := number(text); ok {
		return fit(v, bits)
	}
	u, err := user.Lookup(text)
	if err != nil {
		return nil, errors.New("expected a number or the name of a user, and there is no such user")
	}
	return parseInteger(u.Uid, bits)
}

func parseGID(text string, bits int) ([]byte, error) {
	if v, ok := number(text); ok {
		return fit(v, bits)
	}
	g, err := user.LookupGroup(text)
	if err != nil {
		return nil, errors.New("expected a number or the name of a group, and there is no such group")
	}
	return parseInteger(g.Gid, bits)
}

// parseCgroupV2 gives the inode of a control group, which is its number, by its
// path below the root of the second hierarchy.
func parseCgroupV2(text string, bits int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Stat(path.Join(cgroupFolder, path.Join("/", text)), &st); err != nil {
		return nil, fmt.Errorf("expected the path of a control group below %s: %w", cgroupFolder, err)
	}
	return fitUint(st.Ino, bits)
}
