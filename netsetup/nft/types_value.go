package nft

import (
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"strconv"
	"strings"
)

// value reads a word as a constant of the type: one of its symbols, or as the
// type reads words, or a number: decimal, hexadecimal with 0x, octal with 0. The
// result has bits, or t.Bits where bits is 0, rounded up to bytes, most
// significant first. Where that is 0 as well it is as long as it needs to be, a
// string with a NUL behind it. The error is an *Error without a place.
func (t *Type) value(text string, bits int) ([]byte, error) {
	if bits == 0 {
		bits = t.Bits
	}
	for _, s := range t.Symbols {
		if s.Name == text {
			b, err := fit(new(big.Int).SetUint64(s.Value), bits)
			return b, t.mistake(text, err)
		}
	}
	for k := t; k != nil; k = k.Base {
		if k.parse != nil {
			b, err := k.parse(text, bits)
			return b, t.mistake(text, err)
		}
	}
	return nil, t.mistake(text, errors.New("it has no constants of this kind"))
}

// mistake is what value says about a word that the type cannot read; nil where
// there is no err.
func (t *Type) mistake(text string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Text: fmt.Sprintf("%s is not of the type %s (%s): %v", quoteWord(text), t.Name, t.Desc, err)}
	names := make([]string, len(t.Symbols))
	for i, s := range t.Symbols {
		names[i] = s.Name
	}
	var unknown *unknownName
	if errors.As(err, &unknown) {
		names = append(names, unknown.names...)
	}
	switch best := nearest(text, names); {
	case errors.Is(err, errRange):
	case best != "":
		e.Hint = "did you mean `" + best + "`?"
	case len(names) > 0:
		e.Hint = "it has such names as " + strings.Join(names[:min(len(names), maxListed)], ", ")
	}
	return e
}

// maxListed bounds the names that a hint lists.
const maxListed = 8

// maxQuoted bounds the length of a word that a message quotes.
const maxQuoted = 40

func quoteWord(text string) string {
	if len(text) > maxQuoted {
		return strconv.Quote(text[:maxQuoted]) + "…"
	}
	return strconv.Quote(text)
}

// unknownName is the error for a name that is not in a file of names.
type unknownName struct {
	expected string
	names    []string
}

func (e *unknownName) Error() string { return "expected " + e.expected }

// errRange is in errors about numbers and strings that do not fit.
var errRange = errors.New("it does not fit")

// fit makes a number the bytes that value gives.
func fit(v *big.Int, bits int) ([]byte, error) {
	if bits == 0 {
		bits = max(v.BitLen(), 1)
	}
	if v.BitLen() > bits {
		most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(bits)), big.NewInt(1))
		return nil, fmt.Errorf("%w, expected 0 to %v", errRange, most)
	}
	return v.FillBytes(make([]byte, (bits+7)/8)), nil
}

// fitUint is fit of what is no more than 64 bits.
func fitUint(v uint64, bits int) ([]byte, error) {
	return fit(new(big.Int).SetUint64(v), bits)
}

// maxDigits bounds the digits of a number; a register holds no more than 128
// bits.
const maxDigits = 128

// number reads a number as nft's scanner takes it.
func number(text string) (*big.Int, bool) {
	digits, base := text, 10
	switch {
	case len(text) > maxDigits || text == "":
		return nil, false
	case len(text) > 2 && (text[:2] == "0x" || text[:2] == "0X"):
		digits, base = text[2:], 16
	case len(text) > 1 && text[0] == '0':
		digits, base = text[1:], 8
	}
	for _, c := range []byte(digits) {
		if !isHexDigit(c) { // Int.SetString would take signs and underscores
			return nil, false
		}
	}
	return new(big.Int).SetString(digits, base)
}

func isHexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func parseInteger(text string, bits int) ([]byte, error) {
	v, ok := number(text)
	if !ok {
		return nil, errors.New("expected a number")
	}
	return fit(v, bits)
}

// parseString gives the letters and at least one NUL. A * at the end, which
// stands for any end, is for the caller to take off.
func parseString(text string, bits int) ([]byte, error) {
	size := len(text) + 1
	if bits > 0 {
		size = (bits + 7) / 8
	}
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case strings.IndexByte(text, 0) >= 0:
		return nil, errors.New("it has a NUL in it")
	case len(text) >= size:
		return nil, fmt.Errorf("%w, expected at most %d letters", errRange, size-1)
	}
	b := make([]byte, size)
	copy(b, text)
	return b, nil
}

func parseLLAddr(text string, bits int) ([]byte, error) {
	parts := strings.Split(text, ":")
	if size := (bits + 7) / 8; bits > 0 && len(parts) != size {
		return nil, fmt.Errorf("expected %d bytes with colons between them", size)
	}
	b := make([]byte, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(p) > 2 {
			return nil, errors.New("expected bytes of two hexadecimal digits with colons between them")
		}
		b[i] = byte(n)
	}
	return b, nil
}

// errNames is why a name is not an address.
var errNames = errors.New("expected an address; names of hosts are not supported")

// parseIPv4Addr takes a plain number as well, as inet_aton(3) does.
func parseIPv4Addr(text string, bits int) ([]byte, error) {
	if v, ok := number(text); ok {
		return fit(v, bits)
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return nil, errNames
	}
	return fit(new(big.Int).SetBytes(a.AsSlice()), bits)
}

func parseIPv6Addr(text string, bits int) ([]byte, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return nil, errNames
	}
	return fit(new(big.Int).SetBytes(a.AsSlice()), bits)
}

// parseClassID reads MAJOR:MINOR, both hexadecimal, as tc(8) writes it.
func parseClassID(text string, bits int) ([]byte, error) {
	major, minor, ok := strings.Cut(text, ":")
	if !ok {
		v, ok := number(text)
		if !ok {
			return nil, errors.New("expected MAJOR:MINOR in hexadecimal digits, or a number")
		}
		return fit(v, bits)
	}
	var parts [2]uint64
	for i, p := range []string{major, minor} {
		p = strings.TrimPrefix(p, "0x") // as scripts for tc(8) write it
		n, err := strconv.ParseUint(p, 16, 16)
		if err != nil || len(p) > 4 {
			return nil, errors.New("expected MAJOR:MINOR, each one to four hexadecimal digits")
		}
		parts[i] = n
	}
	return fitUint(parts[0]<<16|parts[1], bits)
}
