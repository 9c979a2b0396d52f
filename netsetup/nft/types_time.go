package nft

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// milliseconds reads a time such as 1d2h3m4s5ms, each unit once and in any
// order; without a unit it is seconds.
func milliseconds(text string) (uint64, error) {
	const wrong = "expected a time such as 1d2h3m4s5ms, or a number of seconds"
	units := map[string]uint64{"d": 24 * 60 * 60 * 1000, "h": 60 * 60 * 1000, "m": 60 * 1000, "s": 1000, "ms": 1}
	const most = 99_999_999 // of one unit, as nft has it
	var sum uint64
	for rest := text; ; {
		letters := strings.TrimLeft(rest, "0123456789")
		n, err := strconv.ParseUint(rest[:len(rest)-len(letters)], 10, 64)
		if err != nil {
			return 0, errors.New(wrong)
		}
		if n > most {
			return 0, fmt.Errorf("%w, expected at most %d of a unit", errRange, most)
		}
		if letters == "" && rest == text {
			return n * 1000, nil
		}
		rest = strings.TrimLeft(letters, "dhms")
		unit := letters[:len(letters)-len(rest)]
		scale, ok := units[unit]
		if !ok {
			return 0, errors.New(wrong)
		}
		delete(units, unit)
		sum += n * scale
		if rest == "" {
			return sum, nil
		}
	}
}

// parseRelativeTime gives milliseconds.
func parseRelativeTime(text string, bits int) ([]byte, error) {
	ms, err := milliseconds(text)
	if err != nil {
		return nil, err
	}
	return fitUint(ms, bits)
}

// parseDate gives nanoseconds since 1970 of a date, with a time of day or
// without, or of a number of seconds since then.
func parseDate(text string, bits int) ([]byte, error) {
	seconds, err := dateSeconds(text)
	if err != nil {
		return nil, err
	}
	if seconds < 0 || seconds > math.MaxInt64/int64(time.Second) {
		return nil, fmt.Errorf("%w, expected a date of 1970 to 2262", errRange)
	}
	return fitUint(uint64(seconds)*uint64(time.Second), bits)
}

func dateSeconds(text string) (int64, error) {
	if v, ok := number(text); ok {
		if !v.IsInt64() {
			return math.MaxInt64, nil
		}
		return v.Int64(), nil
	}
	for _, layout := range []string{"2006-1-2 15:4:5", "2006-1-2 15:4", "2006-1-2"} {
		// Parse would take fractions of a second.
		if t, err := time.Parse(layout, text); err == nil && !strings.ContainsAny(text, ".,") {
			// nft reads it as UTC and then takes off what the local time is ahead
			// of UTC at that moment: next to a change of the clocks that is not
			// what time.ParseInLocation gives.
			_, ahead := t.Local().Zone()
			return t.Unix() - int64(ahead), nil
		}
	}
	return 0, errors.New(`expected a date such as "2020-06-06 17:00:30", with a blank between date and time, or a number of seconds since 1970`)
}

const secondsPerDay = 24 * 60 * 60

// parseHour gives seconds since midnight in UTC, which is how the kernel counts,
// of a local time of day such as 17:00, 17:00:30 or 17h30m; it is as far ahead
// of UTC as it is now. A plain number is taken as it is.
func parseHour(text string, bits int) ([]byte, error) {
	if v, ok := number(text); ok {
		return fit(v, bits)
	}
	seconds, err := daySeconds(text)
	if err != nil {
		return nil, err
	}
	_, ahead := time.Now().Zone()
	utc := ((seconds-int64(ahead))%secondsPerDay + secondsPerDay) % secondsPerDay
	return fitUint(uint64(utc), bits)
}

func daySeconds(text string) (int64, error) {
	for _, layout := range []string{"15:4:5", "15:4"} {
		if t, err := time.Parse(layout, text); err == nil && !strings.ContainsAny(text, ".,") {
			return int64(t.Hour()*3600 + t.Minute()*60 + t.Second()), nil
		}
	}
	ms, err := milliseconds(text)
	if err != nil {
		return 0, errors.New(`expected a time of day such as "17:00" or "17:00:30"`)
	}
	return int64(ms / 1000), nil
}
