use std::fs;
use std::io::{self, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Failure;

/// A CSV file in the making: comma, header, LF; numbers in the shortest form that reads back.
pub(crate) struct Sheet {
    text: String,
}

impl Sheet {
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sheet = Self { text: String::new() };
        sheet.row(columns);
        sheet
    }

    /// Adds a row of cells; quotes what needs it.
    pub(crate) fn row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.text.push(',');
            }
            self.cell(cell.as_ref());
        }
        self.text.push('\n');
    }

    fn cell(&mut self, cell: &str) {
        if cell.contains([',', '"', '\n', '\r']) {
            self.text.push('"');
            self.text.push_str(&cell.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(cell);
        }
    }

    /// Writes the file, compressed when its name ends in `.gz`; makes the folders, replaces what
    /// is there.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |source: io::Error| Failure::Write { file: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        if path.extension().is_some_and(|extension| extension == "gz") {
            let file = fs::File::create(path).map_err(failed)?;
            let mut gz = GzEncoder::new(file, Compression::default());
            gz.write_all(self.text.as_bytes()).map_err(failed)?;
            gz.finish().map_err(failed)?;
            return Ok(());
        }
        fs::write(path, &self.text).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_when_they_must_be() {
        let mut sheet = Sheet::new(["a", "b"]);
        sheet.row(["1,5", "say \"x\""]);
        sheet.row([0.1_f64.to_string(), 1e-3_f64.to_string()]);
        assert_eq!(sheet.text, "a,b\n\"1,5\",\"say \"\"x\"\"\"\n0.1,0.001\n");
    }
}
