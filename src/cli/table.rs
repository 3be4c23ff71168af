//! Tables of text.

/// Alignment of the cells in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Alignment {
    Left,
    Right,
}

/// Formats rows, with `gap` between columns and without trailing spaces.
pub(super) fn format_rows(alignments: &[Alignment], rows: &[Vec<String>], gap: &str) -> String {
    let widths: Vec<_> = (0..alignments.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(alignments);
        let cells = cells.map(|((cell, width), alignment)| match alignment {
            Alignment::Left => format!("{cell:<width$}"),
            Alignment::Right => format!("{cell:>width$}"),
        });
        text += cells.collect::<Vec<_>>().join(gap).trim_end();
        text += "\n";
    }
    text
}
