package gpu

// part is a piece of a matrix on the device: rows×cols elements from row, col on,
// stride elements apart.
type part struct {
	row, col, rows, cols, stride int
}

// cut divides a matrix into parts of whole rows, a multiple of step of them, or
// where not even step rows fit, of fewer columns, a multiple of colStep. On the
// device rows are a multiple of align elements apart. fit returns how many rows of
// a stride fit. There are no parts where even the smallest does not fit.
func cut(rows, cols, step, colStep, align int, fit func(stride int) int) (parts []part) {
	width := cols
	for fit(roundUp(width, align)) < step {
		if width <= colStep {
			return nil
		}
		width = roundUp(ceilDiv(width, 2), colStep)
	}
	height := fit(roundUp(width, align)) / step * step
	for r := 0; r < rows; r += height {
		for c := 0; c < cols; c += width {
			p := part{row: r, col: c, rows: min(height, rows-r), cols: min(width, cols-c)}
			p.stride = roundUp(p.cols, align)
			parts = append(parts, p)
		}
	}
	return parts
}
