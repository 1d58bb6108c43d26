package render

import (
	"bufio"
	"strings"

	"gate421/gate/visible"
)

// style is how a piece of text looks where there is colour.
type style uint8

const (
	styleNone style = iota
	styleBold
	styleDim
	styleGood
	styleWarn
	styleBad
	styleHTTP2
	styleHTTP1
)

// sgr is the terminal sequence that starts a style. These and the reset are the only sequences that are written.
func (s style) sgr() string {
	switch s {
	case styleBold:
		return "\x1b[1m"
	case styleDim:
		return "\x1b[2m"
	case styleGood:
		return "\x1b[1;32m"
	case styleWarn:
		return "\x1b[1;33m"
	case styleBad:
		return "\x1b[1;31m"
	case styleHTTP2:
		return "\x1b[34m"
	case styleHTTP1:
		return "\x1b[36m"
	}
	return ""
}

// styled is a piece of a line in one style.
type styled struct {
	text  string
	style style
}

// printer writes lines, none wider than the width. Whatever is printed goes through line, which makes it visible.
type printer struct {
	out    *bufio.Writer
	width  int
	colour bool
}

func (p *printer) line(runs ...styled) {
	room, gap := p.width, ""
	for _, r := range runs {
		text := visible.Text(r.text)
		if strings.Trim(text, " ") == "" {
			gap += text
			continue
		}
		text = gap + text
		rest := len(text) - len(strings.TrimRight(text, " "))
		text, gap = text[:len(text)-rest], text[len(text)-rest:]
		text = cutEnd(text, room)
		room -= columnsIn(text)
		start := ""
		if p.colour && text != "" {
			start = r.style.sgr()
		}
		p.out.WriteString(start + text)
		if start != "" {
			p.out.WriteString("\x1b[0m")
		}
		if room < 1 {
			break
		}
	}
	p.out.WriteByte('\n')
}

// paragraph is wrapped text.
func (p *printer) paragraph(indent int, s style, text string) {
	for _, line := range wrapText(visible.Text(text), p.width-indent) {
		p.line(styled{strings.Repeat(" ", indent), styleNone}, styled{line, s})
	}
}

// section starts a part of the report.
func (p *printer) section(title string) {
	p.line()
	p.line(styled{title, styleBold})
}

// column is one of a table.
type column struct {
	title     string
	right     bool // numbers
	flex      bool // may be cut in the middle
	fold      bool // may be wrapped
	dropOrder int  // where there is not enough width the highest is dropped first; 0 always stays
}

const (
	tableIndent = 2
	tableGap    = 2
	leastFlex   = 8  // columns of a text that is cut
	wantedFlex  = 24 // columns below which other columns are dropped first
)

// table writes rows under their titles; rows have a cell for each column.
func (p *printer) table(columns []column, rows [][]styled) {
	for i := range rows {
		for j := range rows[i] {
			rows[i][j].text = visible.Text(rows[i][j].text)
		}
	}
	widths := p.widths(columns, rows)
	titles := make([]styled, len(columns))
	titled := false
	for i, c := range columns {
		titles[i] = styled{c.title, styleDim}
		titled = titled || c.title != ""
	}
	if titled {
		p.row(columns, widths, titles)
	}
	for _, row := range rows {
		p.row(columns, widths, row)
	}
}

// widths divides the width: first columns are dropped, then texts shrink. A dropped column has 0.
func (p *printer) widths(columns []column, rows [][]styled) []int {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = max(1, columnsIn(c.title))
		for _, row := range rows {
			widths[i] = max(widths[i], columnsIn(row[i].text))
		}
	}
	over := func(least int) int {
		total := tableIndent - tableGap - p.width
		for i, c := range columns {
			if w := widths[i]; w > 0 {
				if c.flex || c.fold {
					w = min(w, least)
				}
				total += w + tableGap
			}
		}
		return total
	}
	for over(wantedFlex) > 0 {
		worst := -1
		for i, c := range columns {
			if c.dropOrder > 0 && widths[i] > 0 && (worst < 0 || c.dropOrder > columns[worst].dropOrder) {
				worst = i
			}
		}
		if worst < 0 {
			break
		}
		widths[worst] = 0
	}
	for excess := over(1 << 20); excess > 0; excess-- {
		widest := -1
		for i, c := range columns {
			if (c.flex || c.fold) && widths[i] > leastFlex && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// row writes one row, on several lines where a cell is wrapped.
func (p *printer) row(columns []column, widths []int, cells []styled) {
	lines := make([][]string, len(cells))
	height := 1
	for i, c := range columns {
		switch {
		case widths[i] == 0:
		case c.fold:
			lines[i] = wrapText(cells[i].text, widths[i])
		default:
			lines[i] = []string{cutMiddle(cells[i].text, widths[i])}
		}
		height = max(height, len(lines[i]))
	}
	for n := range height {
		runs := []styled{{strings.Repeat(" ", tableIndent), styleNone}}
		for i, c := range columns {
			if widths[i] == 0 {
				continue
			}
			text := ""
			if n < len(lines[i]) {
				text = lines[i][n]
			}
			space := styled{strings.Repeat(" ", widths[i]-min(widths[i], columnsIn(text))), styleNone}
			if c.right {
				runs = append(runs, space, styled{text, cells[i].style})
			} else {
				runs = append(runs, styled{text, cells[i].style}, space)
			}
			runs = append(runs, styled{strings.Repeat(" ", tableGap), styleNone})
		}
		p.line(runs...)
	}
}
