package nft

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValue(t *testing.T) {
	local := time.Local
	t.Cleanup(func() { time.Local = local })
	time.Local = time.FixedZone("", 2*60*60)

	for _, c := range []struct {
		typ  *Type
		text string
		bits int
		want string // hexadecimal, or what the error has in it
	}{
		{typeInteger, "10", 16, "000a"},
		{typeInteger, "0x10", 16, "0010"},
		{typeInteger, "0X1f", 8, "1f"},
		{typeInteger, "010", 8, "08"},
		{typeInteger, "0", 8, "00"},
		{typeInteger, "1", 1, "01"},
		{typeInteger, "2", 1, "! expected 0 to 1"},
		{typeInteger, "4095", 12, "0fff"},
		{typeInteger, "4096", 12, "! expected 0 to 4095"},
		{typeInteger, "256", 0, "0100"},
		{typeInteger, "0", 0, "00"},
		{typeInteger, "0xffffffffffffffffffffffffffffffff", 128, strings.Repeat("ff", 16)},
		{typeInteger, "-1", 8, "! expected a number"},
		{typeInteger, "08", 8, "! expected a number"},
		{typeInteger, "0b1", 8, "! expected a number"},
		{typeInteger, "1_0", 8, "! expected a number"},
		{typeInteger, "0x", 8, "! expected a number"},
		{typeInteger, "", 8, "! expected a number"},
		{typeInteger, "one", 8, `! "one" is not of the type integer (number): expected a number`},
		{typeVerdict, "accept", 0, "! it has no constants"},

		{typeString, "ftp", 0, "66747000"},
		{typeString, "ftp", 128, "667470" + strings.Repeat("00", 13)},
		{typeString, "", 0, "! it is empty"},
		{typeString, "a\x00b", 0, "! NUL"},
		{typeIfName, "eth0", 0, "65746830" + strings.Repeat("00", 12)},
		{typeIfName, "abcdefghijklmno", 0, "6162636465666768696a6b6c6d6e6f00"},
		{typeIfName, "abcdefghijklmnop", 0, "! expected at most 15 letters"},

		{typeLLAddr, "1:2:03", 0, "010203"},
		{typeEtherAddr, "00:11:22:aa:BB:0", 0, "001122aabb00"},
		{typeEtherAddr, "00:11:22:33:44", 0, "! expected 6 bytes"},
		{typeEtherAddr, "00:11:22:33:44:100", 0, "! expected bytes of two hexadecimal digits"},
		{typeEtherAddr, "00:11:22:33:44:001", 0, "! expected bytes of two hexadecimal digits"},

		{typeIPv4Addr, "192.0.2.1", 0, "c0000201"},
		{typeIPv4Addr, "1", 0, "00000001"},
		{typeIPv4Addr, "192.0.2.256", 0, "! expected an address"},
		{typeIPv4Addr, "localhost", 0, "! names of hosts are not supported"},
		{typeIPv4Addr, "::1", 0, "! expected an address"},
		{typeIPv6Addr, "2001:db8::1", 0, "20010db8000000000000000000000001"},
		{typeIPv6Addr, "::ffff:192.0.2.1", 0, "00000000000000000000ffffc0000201"},
		{typeIPv6Addr, "fe80::1%eth0", 0, "! expected an address"},
		{typeIPv6Addr, "192.0.2.1", 0, "! expected an address"},

		{typeNFProto, "ipv6", 0, "0a"},
		{typeEtherType, "8021q", 0, "8100"},
		{typeEtherType, "vlan", 0, "8100"},
		{typeEtherType, "0x88cc", 0, "88cc"},
		{typeEtherType, "ipv6", 0, "! did you mean `ip6`?"},
		{typeARPOp, "inreply", 0, "0009"},
		{typeInetProto, "tcp", 0, "06"},
		{typeInetProto, "TCP", 0, "06"},
		{typeInetProto, "icmpv6", 0, "3a"},
		{typeInetProto, "ipv6-icmp", 0, "3a"},
		{typeInetProto, "comp", 0, "6c"},
		{typeInetProto, "256", 0, "! expected 0 to 255"},
		{typeInetProto, "udplitt", 0, "! did you mean `udplite`?"},
		{typeInetService, "ssh", 0, "0016"},
		{typeInetService, "https", 0, "01bb"},
		{typeInetService, "www", 0, "0050"},
		{typeInetService, "syslog", 0, "0202"},
		{typeInetService, "shell", 0, "0202"},
		{typeInetService, "65535", 0, "ffff"},
		{typeInetService, "65536", 0, "! expected 0 to 65535"},
		{typeInetService, "htpp", 0, "! did you mean"},
		{typeTCPFlag, "ecn", 0, "40"},
		{typeTCPFlag, "0x12", 0, "12"},
		{typeDCCPPktType, "syncack", 0, "09"},
		{typeDCCPPktType, "16", 0, "! expected 0 to 15"},
		{typeICMPType, "echo-request", 0, "08"},
		{typeICMPv6Type, "nd-neighbor-advert", 0, "88"},
		{typeICMPXCode, "no-route", 0, "00"},
		{typeDSCP, "ef", 0, "2e"},
		{typeDSCP, "64", 0, "! expected 0 to 63"},
		{typeECN, "ce", 0, "03"},
		{typeIGMPType, "leave-group", 0, "17"},
		{typeMHType, "binding-update", 0, "05"},

		{typeMark, "0x10", 0, "00000010"},
		{typeMark, "nosuchmark", 0, "! expected a number, or a name of /etc/iproute2/rt_marks"},
		{typeIfIndex, "3", 0, "00000003"},
		{typeIfaceType, "loopback", 0, "0304"},
		{typeClassID, "1:10", 0, "00010010"},
		{typeClassID, "abcd:ef", 0, "abcd00ef"},
		{typeClassID, "root", 0, "ffffffff"},
		{typeClassID, "none", 0, "00000000"},
		{typeClassID, "0x10001", 0, "00010001"},
		{typeClassID, "1:0xc7cb", 0, "0001c7cb"},
		{typeClassID, "1:12345", 0, "! one to four hexadecimal digits"},
		{typeUID, "root", 0, "00000000"},
		{typeUID, "1000", 0, "000003e8"},
		{typeUID, "nosuchuser", 0, "! there is no such user"},
		{typeGID, "root", 0, "00000000"},
		{typeDevGroup, "default", 0, "00000000"},

		{typeCtState, "new", 0, "00000008"},
		{typeCtState, "established", 0, "00000002"},
		{typeCtState, "untracked", 0, "00000040"},
		{typeCtState, "establisehd", 0, "! did you mean `established`?"},
		{typeCtStatus, "dying", 0, "00000200"},
		{typeCtDir, "reply", 0, "01"},
		{typeCtEvent, "label", 0, "00000400"},
		{typeCtLabel, "0", 0, "00000000000000000000000000000001"},
		{typeCtLabel, "127", 0, "80000000000000000000000000000000"},
		{typeCtLabel, "128", 0, "! expected a bit of 0 to 127"},
		{typePktType, "unicast", 0, "00"},
		{typeFibAddr, "prohibit", 0, "00000008"},
		{typeBoolean, "exists", 0, "01"},
		{typeBoolean, "missing", 32, "00000000"},

		{typeTime, "30", 0, "00007530"},
		{typeTime, "30s", 0, "00007530"},
		{typeTime, "1d1h1m1s1ms", 0, "055e38c9"},
		{typeTime, "5ms1s", 0, "000003ed"},
		{typeTime, "1s1s", 0, "! expected a time"},
		{typeTime, "1h30", 0, "! expected a time"},
		{typeTime, "h", 0, "! expected a time"},
		{typeTime, "60d", 0, "! expected 0 to 4294967295"},
		{typeTime, "999999999s", 0, "! at most"},
		{typeDate, "1970-01-02 02:00:00", 0, "00004e94914f0000"},
		{typeDate, "1970-01-02 02:00", 0, "00004e94914f0000"},
		{typeDate, "1970-01-01 02:00:01", 0, "000000003b9aca00"},
		{typeDate, "1", 0, "000000003b9aca00"},
		{typeDate, "1970-01-01", 0, "! expected a date of 1970"},
		{typeDate, "1970-01-02T02:00:00", 0, "! with a blank between"},
		{typeDate, "1970-01-02 02:00:00.5", 0, "! expected a date"},
		{typeDate, "99999999999999999999", 0, "! expected a date of 1970 to 2262"},
		{typeHour, "17:00", 0, "0000d2f0"},
		{typeHour, "17:00:30", 0, "0000d30e"},
		{typeHour, "1:00", 0, "00014370"},
		{typeHour, "17h", 0, "0000d2f0"},
		{typeHour, "61200", 0, "0000ef10"},
		{typeHour, "25:00", 0, "! expected a time of day"},
		{typeDay, "Saturday", 0, "06"},
		{typeDay, "6", 0, "06"},
		{typeDay, "saturday", 0, "! did you mean `Saturday`?"},
		{typeCgroupV2, "nosuch/group", 0, "! expected the path of a control group"},
	} {
		got := ""
		switch b, err := c.typ.value(c.text, c.bits); {
		case err != nil:
			got = "! " + err.Error()
			if e := new(Error); !errors.As(err, &e) || e.Pos != (Pos{}) {
				t.Errorf("%s %q: the error is a %T with place %v", c.typ.Name, c.text, err, e.Pos)
			}
		default:
			got = hex.EncodeToString(b)
		}
		if wanted, isError := strings.CutPrefix(c.want, "! "); got != c.want &&
			!(isError && strings.HasPrefix(got, "! ") && strings.Contains(got, wanted)) {
			t.Errorf("%s %q of %d bits: %s, expected %s", c.typ.Name, c.text, c.bits, got, c.want)
		}
	}
}

func TestReadNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "names")
	text := "# marks\n1 one\n\t0x10\tsixteen # note\nnonsense\n-1 less\n2 two words\n4294967296 more\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []Symbol{{"one", 1}, {"sixteen", 16}}
	if got := readNames(file); !slices.Equal(got, want) {
		t.Errorf("%v, expected %v", got, want)
	}
	if v, err := numberOrName("sixteen", file); err != nil || v.Uint64() != 16 {
		t.Errorf("sixteen is %v, %v", v, err)
	}
	_, err := numberOrName("sixten", file)
	if e := new(Error); !errors.As(typeMark.mistake("sixten", err), &e) || e.Hint != "did you mean `sixteen`?" {
		t.Errorf("for sixten: %v", e)
	}
	if got := readNames(file + "2"); got != nil {
		t.Errorf("of no file: %v", got)
	}
}

func TestTypeByName(t *testing.T) {
	for name, want := range map[string]*Type{
		"ipv4_addr": typeIPv4Addr, "time": typeTime, "cgroupsv2": typeCgroupV2, "verdict": typeVerdict,
		"ct_label": nil, "ct_event": nil, "ipv4": nil, "": nil,
	} {
		if got := typeByName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func FuzzValue(f *testing.F) {
	for i, text := range []string{
		"10", "0x1f", "eth0", "192.0.2.1", "2001:db8::1", "00:11:22:33:44:55", "1:10", "1d2h", "ssh",
		"2020-06-06 17:00", "17:00:30", "Sunday", "new", "a/b", "root",
	} {
		f.Add(uint8(i), text, uint16(8*i))
	}
	f.Fuzz(func(t *testing.T, i uint8, text string, bits uint16) {
		typ, width := types[int(i)%len(types)], int(bits)%256
		b, err := typ.value(text, width)
		if err != nil {
			if e := new(Error); b != nil || !errors.As(err, &e) || e.Text == "" {
				t.Fatalf("%x, %v", b, err)
			}
			return
		}
		if width == 0 {
			width = typ.Bits
		}
		if width > 0 && len(b) != (width+7)/8 {
			t.Fatalf("%d bytes for %d bits", len(b), width)
		}
		if width%8 != 0 && typ != typeLLAddr && typ != typeEtherAddr && typ != typeString && typ != typeIfName && b[0]>>(width%8) != 0 {
			t.Fatalf("%x is more than %d bits", b, width)
		}
	})
}
