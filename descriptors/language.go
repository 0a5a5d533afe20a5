package descriptors

import (
	"fmt"
	"time"
)

// Language is that of weir's own sentences.
type Language uint8

const (
	English Language = iota
	Chinese          // simplified
	Portuguese
)

var languageNames = []string{"en", "zh", "pt"}

// periodWords are a unit's name by language, alone and after a number.
var periodWords = []struct {
	unit  time.Duration
	words [3][2]string
}{
	{week, [3][2]string{{"week", "%d weeks"}, {"1周", "%d周"}, {"semana", "%d semanas"}}},
	{day, [3][2]string{{"day", "%d days"}, {"1天", "%d天"}, {"dia", "%d dias"}}},
	{time.Hour, [3][2]string{{"hour", "%d hours"}, {"1小时", "%d小时"}, {"hora", "%d horas"}}},
	{time.Minute, [3][2]string{{"minute", "%d minutes"}, {"1分钟", "%d分钟"}, {"minuto", "%d minutos"}}},
	{time.Second, [3][2]string{{"second", "%d seconds"}, {"1秒", "%d秒"}, {"segundo", "%d segundos"}}},
}

// calendarWords are the same of periods that have no one length.
var calendarWords = map[Unit][3]string{
	Month: {"month", "1个月", "mês"}, Year: {"year", "1年", "ano"},
}

// PeriodIn is the period in its largest whole unit, as in "day" or "2 weeks", or
// as a duration where it has none; empty for what is no rate.
func (l *Settings) PeriodIn(language Language) string {
	if words, ok := calendarWords[l.CalendarUnit()]; ok {
		return words[language]
	}
	if l.Period == 0 {
		return ""
	}
	for _, w := range periodWords {
		switch n := l.Period / w.unit; {
		case l.Period%w.unit != 0:
		case n == 1:
			return w.words[language][0]
		default:
			return fmt.Sprintf(w.words[language][1], n)
		}
	}
	return l.Period.String()
}

// PeriodText is the period in English.
func (l *Settings) PeriodText() string { return l.PeriodIn(English) }
