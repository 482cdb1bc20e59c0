//! The values of a model's terms for many people, row by row, with only what is not zero kept.

/// One row a person, one column a term; the intercept is no column.
#[derive(Debug, Clone)]
pub struct Design {
    /// `starts[row]..starts[row + 1]` in `columns` and `values`.
    pub starts: Vec<usize>,
    pub columns: Vec<u16>,
    pub values: Vec<f64>,
    pub width: usize,
}

impl Design {
    pub fn new(width: usize) -> Design {
        assert!(width < usize::from(u16::MAX), "a model has fewer terms than that");
        Design { starts: vec![0], columns: Vec::new(), values: Vec::new(), width }
    }

    /// Adds a row; values of columns that are not named are zero.
    pub fn push(&mut self, row: impl IntoIterator<Item = (usize, f64)>) {
        for (column, value) in row.into_iter().filter(|(_, value)| *value != 0.0) {
            self.columns.push(column as u16);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    pub fn append(&mut self, other: Design) {
        let offset = self.columns.len();
        self.columns.extend(other.columns);
        self.values.extend(other.values);
        self.starts.extend(other.starts[1..].iter().map(|start| start + offset));
    }

    pub fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    #[inline]
    pub fn row(&self, row: usize) -> (&[u16], &[f64]) {
        let range = self.starts[row]..self.starts[row + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// The linear predictor of a row.
    #[inline]
    pub fn predict(&self, row: usize, intercept: f64, coefficients: &[f64]) -> f64 {
        let (columns, values) = self.row(row);
        columns
            .iter()
            .zip(values)
            .fold(intercept, |sum, (column, value)| sum + coefficients[usize::from(*column)] * value)
    }

    /// Some rows, in the order given.
    pub fn only(&self, rows: &[u32]) -> Design {
        let mut design = Design::new(self.width);
        design.starts.reserve(rows.len());
        for &row in rows {
            let (columns, values) = self.row(row as usize);
            design.columns.extend_from_slice(columns);
            design.values.extend_from_slice(values);
            design.starts.push(design.columns.len());
        }
        design
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_what_is_not_zero() {
        let mut design = Design::new(3);
        design.push([(0, 1.0), (1, 0.0), (2, 2.0)]);
        design.push([]);
        let mut other = Design::new(3);
        other.push([(1, 4.0)]);
        design.append(other);
        assert_eq!((design.rows(), design.columns.len()), (3, 3));
        assert_eq!(design.row(2), (&[1u16][..], &[4.0][..]));
        assert_eq!(design.predict(0, 0.5, &[1.0, 10.0, 100.0]), 201.5);
        assert_eq!(design.only(&[2, 0]).row(1), (&[0u16, 2][..], &[1.0, 2.0][..]));
    }
}
