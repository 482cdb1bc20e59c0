//! Files on disk: CSV, compressed CSV and Parquet, each written by appending what the chunks of people bring.
//!
//! Encoding is the costly part, so it happens where chunks are made, in parallel: a chunk brings CSV lines or whole encoded
//! Parquet row groups, and a file only appends them in the order of people.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, Date32Array, DictionaryArray, Float64Array, Int64Array, PrimitiveArray, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use flate2::Compression;
use flate2::write::GzEncoder;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::Compression as ParquetCompression;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::SerializedFileWriter;

use super::rows::{Column, Kind, Layout, Lists, NO_NUMBER, NO_POSITION, Rows, csv_header, known_day, text_at};

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    Csv,
    CsvGz,
    Parquet,
}

impl Encoding {
    /// Rows of a file before its first record, as a reader counts them.
    pub fn header_rows(self) -> u64 {
        u64::from(self != Encoding::Parquet)
    }

    pub fn extension(self) -> &'static str {
        match self {
            Encoding::Csv => "csv",
            Encoding::CsvGz => "csv.gz",
            Encoding::Parquet => "parquet",
        }
    }
}

/// Rows made ready for a file.
pub enum Encoded {
    Lines {
        bytes: Vec<u8>,
        rows: usize,
    },
    RowGroup {
        columns: Vec<ArrowColumnChunk>,
        rows: usize,
    },
    /// Rows of a table too short for a row group a chunk; the file collects them.
    Collected(Rows),
}

impl Encoded {
    pub fn rows(&self) -> usize {
        match self {
            Encoded::Lines { rows, .. } | Encoded::RowGroup { rows, .. } => *rows,
            Encoded::Collected(rows) => rows.len,
        }
    }
}

/// Rows that a Parquet file collects before it makes a row group of them.
const COLLECTED_ROWS: usize = 50_000;

/// Makes the rows of a chunk ready for a file of the encoding.
///
/// # Errors
/// Where Parquet cannot encode them, which would be a fault of ours.
pub fn encode(rows: Rows, lists: &Lists, encoding: Encoding) -> Result<Encoded> {
    let listed = rows.layout.iter().any(|(_, kind)| matches!(kind, Kind::Listed(_)));
    match encoding {
        Encoding::Csv | Encoding::CsvGz => Ok(Encoded::Lines { bytes: rows.csv_lines(lists), rows: rows.len }),
        Encoding::Parquet if listed => row_group(&rows, Some(lists)),
        Encoding::Parquet => Ok(Encoded::Collected(rows)),
    }
}

enum Body {
    Csv(BufWriter<File>),
    CsvGz(GzEncoder<BufWriter<File>>),
    Parquet { file: SerializedFileWriter<BufWriter<File>>, waiting: Rows },
}

/// One file being written.
pub struct OpenFile {
    pub path: PathBuf,
    pub rows: u64,
    pub encoding: Encoding,
    body: Body,
}

impl OpenFile {
    /// # Errors
    /// Where the file cannot be created.
    pub fn create(folder: &Path, name: &str, layout: Layout, encoding: Encoding) -> Result<OpenFile> {
        let path = folder.join(format!("{name}.{}", encoding.extension()));
        let context = || format!("failed to create {}", path.display());
        let file = BufWriter::with_capacity(1 << 20, File::create(&path).with_context(context)?);
        let header = csv_header(layout);
        let body = match encoding {
            Encoding::Csv => {
                let mut file = file;
                file.write_all(&header).with_context(context)?;
                Body::Csv(file)
            }
            Encoding::CsvGz => {
                let mut file = GzEncoder::new(file, Compression::new(5));
                file.write_all(&header).with_context(context)?;
                Body::CsvGz(file)
            }
            Encoding::Parquet => {
                let file = parquet_file(file, &schema(layout)).with_context(context)?;
                Body::Parquet { file, waiting: Rows::new(layout) }
            }
        };
        Ok(OpenFile { path, rows: 0, encoding, body })
    }

    /// # Errors
    /// Where the disk does not take the rows.
    pub fn append(&mut self, encoded: Encoded) -> Result<()> {
        let path = self.path.clone();
        let context = || format!("failed to write {}", path.display());
        match (encoded, &mut self.body) {
            (Encoded::Lines { bytes, rows }, Body::Csv(file)) => {
                self.rows += rows as u64;
                file.write_all(&bytes).with_context(context)
            }
            (Encoded::Lines { bytes, rows }, Body::CsvGz(file)) => {
                self.rows += rows as u64;
                file.write_all(&bytes).with_context(context)
            }
            (Encoded::RowGroup { columns, rows }, Body::Parquet { file, .. }) => {
                self.rows += rows as u64;
                append_row_group(file, columns).with_context(context)
            }
            (Encoded::Collected(more), Body::Parquet { file, waiting }) => {
                self.rows += more.len as u64;
                waiting.append(more);
                if waiting.len >= COLLECTED_ROWS { flush(file, waiting).with_context(context) } else { Ok(()) }
            }
            _ => unreachable!("rows are encoded for the file that they go to"),
        }
    }

    /// # Errors
    /// Where the disk does not take the last rows.
    pub fn close(self) -> Result<(PathBuf, u64)> {
        let context = || format!("failed to finish {}", self.path.display());
        match self.body {
            Body::Csv(mut file) => file.flush().with_context(context)?,
            Body::CsvGz(file) => file.finish().and_then(|mut file| file.flush()).with_context(context)?,
            Body::Parquet { mut file, mut waiting } => {
                flush(&mut file, &mut waiting).with_context(context)?;
                file.close().with_context(context)?;
            }
        }
        Ok((self.path, self.rows))
    }
}

fn schema(layout: Layout) -> SchemaRef {
    let fields = layout.iter().map(|&(name, kind)| {
        let (data_type, nullable) = match kind {
            Kind::Text => (DataType::Utf8, true),
            Kind::Day => (DataType::Date32, true),
            Kind::Decimal(0) => (DataType::Int64, true),
            Kind::Decimal(_) => (DataType::Float64, true),
            Kind::Listed(_) => (DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), true),
        };
        Field::new(name, data_type, nullable)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn properties() -> WriterPropertiesPtr {
    Arc::new(WriterProperties::builder().set_compression(ParquetCompression::SNAPPY).build())
}

/// A Parquet file without the Arrow schema in its metadata: plain text columns, as other tools write them.
fn parquet_file<W: Write + Send>(file: W, schema: &SchemaRef) -> Result<SerializedFileWriter<W>> {
    let root = ArrowSchemaConverter::new().convert(schema)?.root_schema_ptr();
    Ok(SerializedFileWriter::new(file, root, properties())?)
}

fn append_row_group<W: Write + Send>(file: &mut SerializedFileWriter<W>, columns: Vec<ArrowColumnChunk>) -> Result<()> {
    let mut group = file.next_row_group()?;
    for column in columns {
        column.append_to_row_group(&mut group)?;
    }
    group.close()?;
    Ok(())
}

fn flush<W: Write + Send>(file: &mut SerializedFileWriter<W>, waiting: &mut Rows) -> Result<()> {
    let rows = std::mem::replace(waiting, Rows::new(waiting.layout));
    if rows.len == 0 {
        return Ok(());
    }
    match row_group(&rows, None)? {
        Encoded::RowGroup { columns, .. } => append_row_group(file, columns),
        _ => unreachable!("row_group makes a row group"),
    }
}

fn row_group(rows: &Rows, lists: Option<&Lists>) -> Result<Encoded> {
    let schema = schema(rows.layout);
    // Encoding needs a file's schema and properties, not its bytes, so a file without a disk lends them.
    let lender = parquet_file(std::io::sink(), &schema)?;
    let mut writers = ArrowRowGroupWriterFactory::new(&lender, schema.clone()).create_column_writers(0)?;
    let mut columns = Vec::with_capacity(writers.len());
    for ((writer, field), column) in writers.drain(..).zip(schema.fields()).zip(&rows.columns) {
        let mut writer = writer;
        for leaf in compute_leaves(field, &array(column, rows.len, lists))? {
            writer.write(&leaf)?;
        }
        columns.push(writer.close()?);
    }
    Ok(Encoded::RowGroup { columns, rows: rows.len })
}

fn array(column: &Column, len: usize, lists: Option<&Lists>) -> ArrayRef {
    match column {
        Column::Text { bytes, ends } => {
            let cells = (0..len).map(|row| {
                let cell = std::str::from_utf8(text_at(bytes, ends, row)).expect("cells are made from text");
                (!cell.is_empty()).then_some(cell)
            });
            Arc::new(cells.collect::<StringArray>())
        }
        Column::Day(days) => Arc::new(days.iter().map(|&day| known_day(day)).collect::<Date32Array>()),
        Column::Decimal(numbers, 0) => {
            Arc::new(numbers.iter().map(|&number| (number != NO_NUMBER).then_some(number)).collect::<Int64Array>())
        }
        Column::Decimal(numbers, places) => {
            let unit = 10f64.powi(*places as i32);
            let cells = numbers.iter().map(|&number| (number != NO_NUMBER).then_some(number as f64 / unit));
            Arc::new(cells.collect::<Float64Array>())
        }
        Column::Listed(positions, list) => {
            let keys: PrimitiveArray<Int32Type> =
                positions.iter().map(|&position| (position != NO_POSITION).then_some(position as i32)).collect();
            let values: StringArray = lists.expect("listed rows come with lists").get(*list).iter().map(Some).collect();
            Arc::new(DictionaryArray::new(keys, Arc::new(values)))
        }
    }
}
