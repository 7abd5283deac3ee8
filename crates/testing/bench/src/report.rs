//! The table. Each row is printed when its workload ends, so that an interrupted run is not lost.

use std::time::Duration;

use anyhow::ensure;

use crate::measure::Row;

const LEGEND: &str = "\
latencies in ms
server, load   CPU µs, user and system, per operation that went well: of all servers, of this generator
each           the same of each server; of nodes that were started here, the first leader's first
others         cores that everything else on the machine was using
fsync/op       log flushes of all servers per operation; fsync µs: mean time of one with its wait
entry          mean packets of a log entry";

/// Prints the header of the table.
pub(crate) fn print_header() {
    println!("{LEGEND}\n");
    println!(
        "{:<34} {:>8} {:>8} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6} {:>8} {:>8} {:>6}  each",
        "work",
        "ops/s",
        "p50",
        "p99",
        "p99.9",
        "errors",
        "server",
        "load",
        "others",
        "fsync/op",
        "fsync µs",
        "entry",
    );
}

/// Prints a row, and below it the first error.
pub(crate) fn print(row: &Row) -> anyhow::Result<()> {
    println!("{}", line(row));
    print_errors(row)
}

/// Prints the first error of a row. Fails if nothing succeeded.
pub(crate) fn print_errors(row: &Row) -> anyhow::Result<()> {
    let tally = &row.outcome.tally;
    if let Some(error) = &tally.first_error {
        println!("    first error: {error}");
    }
    ensure!(tally.ok_count() > 0, "{}: no operation succeeded", row.work);
    Ok(())
}

fn line(row: &Row) -> String {
    let tally = &row.outcome.tally;
    let ok_count = tally.ok_count() as f64;
    let millis = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
    let per_op = |time: Duration| time.as_secs_f64() * 1e6 / ok_count;
    let servers = &row.used.servers;
    let server = (!servers.is_empty()).then(|| per_op(servers.iter().sum()));
    let own = Some(per_op(row.used.own));
    let each: Vec<String> = servers
        .iter()
        .map(|&time| format!("{:.1}", per_op(time)))
        .collect();
    let flushes = row.inside.map(|inside| inside.flush_count / ok_count);
    let flush_micros = row.inside.and_then(|inside| inside.flush_mean_micros);
    let entry = row.inside.and_then(|inside| inside.entry_mean);
    format!(
        "{:<34} {:>8.0} {:>8.3} {:>8.3} {:>8.3} {:>6} {:>8} {:>8} {:>6.2} {:>8} {:>8} {:>6}  {}",
        row.work,
        ok_count / row.outcome.elapsed.as_secs_f64(),
        millis(0.5),
        millis(0.99),
        millis(0.999),
        tally.error_count,
        or_dash(server, 1),
        or_dash(own, 1),
        row.used.others_cores,
        or_dash(flushes, 3),
        or_dash(flush_micros, 0),
        or_dash(entry, 1),
        each.join("/"),
    )
}

/// A dash means that the value is not known, or that there were no operations to divide by.
pub(crate) fn or_dash(figure: Option<f64>, decimals: usize) -> String {
    match figure.filter(|figure| figure.is_finite()) {
        Some(figure) => format!("{figure:.decimals$}"),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
