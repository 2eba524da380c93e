//! Lines of CSV files that onfile writes.

/// Whether cells are as they are, for machines, or safe to open in a spreadsheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// Verbatim.
    Verbatim,
    /// What a spreadsheet would run as a formula begins with an apostrophe.
    SpreadsheetSafe,
}

/// One line as RFC 4180 has it, without its end.
pub fn csv_cells<T: AsRef<str>>(cells: impl IntoIterator<Item = T>, how: Cells) -> String {
    let mut line = String::new();
    for (place, cell) in cells.into_iter().enumerate() {
        if place > 0 {
            line.push(',');
        }
        push(&mut line, cell.as_ref(), how);
    }
    line
}

fn push(line: &mut String, cell: &str, how: Cells) {
    let runs = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let mark = if runs && how == Cells::SpreadsheetSafe { "'" } else { "" };
    if cell.contains([',', '"', '\n', '\r']) {
        line.push('"');
        line.push_str(mark);
        line.push_str(&cell.replace('"', "\"\""));
        line.push('"');
    } else {
        line.push_str(mark);
        line.push_str(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        let cells = ["a", "b,c", "d\"e", "f\ng", ""];
        assert_eq!(csv_cells(cells, Cells::Verbatim), "a,\"b,c\",\"d\"\"e\",\"f\ng\",");
    }

    #[test]
    fn a_formula_is_text_where_a_spreadsheet_reads_it() {
        let cells = ["=1+1", "+49 30", "-1", "@x", "\tx", "a=b", "=a,b"];
        assert_eq!(csv_cells(cells, Cells::Verbatim), "=1+1,+49 30,-1,@x,\tx,a=b,\"=a,b\"");
        assert_eq!(
            csv_cells(cells, Cells::SpreadsheetSafe),
            "'=1+1,'+49 30,'-1,'@x,'\tx,a=b,\"'=a,b\""
        );
    }
}
