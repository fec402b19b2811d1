//! The last day's refreshes, an hour a bar: a drawing for those who see it, the same as a table for those who don't.

use leptos::prelude::*;

use super::time;
use super::times::{LOCAL, shown};
use crate::model::HourView;

/// The drawing's own measures: how high, and how wide one hour and its bar are.
const HEIGHT: u32 = 72;
const SLOT: usize = 20;
const BAR: u32 = 14;

/// `hours` are consecutive, the current one last.
pub fn day(hours: &[HourView]) -> impl IntoView + use<> {
    let most = hours.iter().map(|hour| hour.refreshed + hour.failed).max().unwrap_or_default().max(1);
    let bars = hours.iter().enumerate().map(|(index, hour)| bar(index * SLOT + 3, hour, most)).collect_view();
    let rows = hours.iter().map(row).collect_view();
    let marks = [hours.first(), hours.get(hours.len() / 2), hours.last()].into_iter().flatten();
    let marks = marks.map(|hour| shown(hour.begins_at, LOCAL, time::clock(hour.begins_at))).collect_view();
    view! {
        <figure class="chart">
            <svg
                viewBox=format!("0 0 {} {HEIGHT}", hours.len() * SLOT)
                preserveAspectRatio="none"
                width="100%"
                height=HEIGHT
                aria-hidden="true"
            >
                {bars}
            </svg>
            <div class="chart-marks" aria-hidden="true">{marks}</div>
            <div class="visually-hidden">
            <table>
                <caption>"Refreshes of the last day, by the hour"</caption>
                <thead>
                    <tr>
                        <th scope="col">"Hour from"</th>
                        <th scope="col">"Refreshed"</th>
                        <th scope="col">"Failed"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            </div>
        </figure>
    }
}

/// Failures stand on top of what worked. An hour with nothing in it has a foot, so that the day is seen whole.
fn bar(x: usize, hour: &HourView, most: u32) -> impl IntoView + use<> {
    let (refreshed, failed) = (height(hour.refreshed, most), height(hour.failed, most));
    let title = format!("{}: {} refreshed, {} failed", time::clock(hour.begins_at), hour.refreshed, hour.failed);
    let part = |class: &'static str, height: u32, foot: u32| {
        (height > 0).then(|| view! { <rect class=class x=x width=BAR y=HEIGHT - foot - height height=height /> })
    };
    view! {
        <g>
            <title>{title}</title>
            <rect class="chart-foot" x=x width=BAR y=HEIGHT - 2 height=2 />
            {part("chart-good", refreshed, 0)}
            {part("chart-bad", failed, refreshed)}
        </g>
    }
}

/// A bar's part, never so low that it can't be seen. Two parts together stay inside the drawing.
fn height(count: u32, most: u32) -> u32 {
    if count == 0 { 0 } else { (count * (HEIGHT - 8) / most).max(4) }
}

fn row(hour: &HourView) -> impl IntoView + use<> {
    view! {
        <tr>
            <th scope="row">{time::absolute(hour.begins_at)}</th>
            <td>{hour.refreshed}</td>
            <td>{hour.failed}</td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_high_as_their_share_and_stay_inside() {
        assert_eq!((height(0, 10), height(10, 10), height(5, 10)), (0, 64, 32));
        assert_eq!(height(1, 1_000), 4, "what happened is seen");
        for (refreshed, failed) in [(1_000, 1), (1, 1_000), (500, 500)] {
            assert!(height(refreshed, refreshed + failed) + height(failed, refreshed + failed) <= HEIGHT);
        }
    }
}
