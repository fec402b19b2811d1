//! Bar chart of the last 24 hours' refreshes, one bar per hour, with a scale, and a table of the same numbers for screen
//! readers.

use leptos::prelude::*;

use super::words;
use crate::model::HourView;
use crate::ui::components::time;

/// Dimensions of the drawing: its height, that of the highest bar, the width of one hour, and the width of a bar.
const CHART_HEIGHT: u32 = 72;
const MAX_BAR_HEIGHT: u32 = 64;
const HOUR_WIDTH: usize = 20;
const BAR_WIDTH: u32 = 14;

/// Renders the chart. `hours` are consecutive, the current one last.
pub fn refreshes_by_hour(hours: &[HourView]) -> impl IntoView + use<> {
    let most = hours.iter().map(|hour| hour.refreshed + hour.failed).max().unwrap_or_default().max(1);
    let bars = hours.iter().enumerate().map(|(index, hour)| bar(index * HOUR_WIDTH + 3, hour, most)).collect_view();
    let rows = hours.iter().map(row).collect_view();
    let marks = [hours.first(), hours.get(hours.len() / 2), hours.last()].into_iter().flatten();
    let marks = marks.map(|hour| time::time_of_day(hour.begins_at)).collect_view();
    view! {
        <figure class="chart">
            <div class="chart-scale" aria-hidden="true">
                <span>{most}</span>
                <span>"0"</span>
            </div>
            <svg
                viewBox=format!("0 0 {} {CHART_HEIGHT}", hours.len() * HOUR_WIDTH)
                preserveAspectRatio="none"
                width="100%"
                height=CHART_HEIGHT
                aria-hidden="true"
            >
                <rect class="chart-foot" width="100%" y=CHART_HEIGHT - MAX_BAR_HEIGHT height="1" />
                {bars}
            </svg>
            <div class="chart-marks" aria-hidden="true">{marks}</div>
            <div class="visually-hidden">
            <table>
                <caption>{words::REFRESHES_BY_HOUR}</caption>
                <thead>
                    <tr>
                        <th scope="col">{words::HOUR_FROM}</th>
                        <th scope="col">"Failed"</th>
                        <th scope="col">"Refreshed"</th>
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
            </div>
        </figure>
    }
}

/// Renders one hour. Successes are stacked on failures, and a baseline marks empty hours.
fn bar(x: usize, hour: &HourView, most: u32) -> impl IntoView + use<> {
    let (refreshed, failed) = (bar_height(hour.refreshed, most), bar_height(hour.failed, most));
    let counts = words::hour_counts(hour.failed, hour.refreshed);
    let part = |class: &'static str, height: u32, foot: u32| {
        (height > 0)
            .then(|| view! { <rect class=class x=x width=BAR_WIDTH y=CHART_HEIGHT - foot - height height=height /> })
    };
    view! {
        <g>
            <title>{time::time_of_day(hour.begins_at)} {counts}</title>
            <rect class="chart-foot" x=x width=BAR_WIDTH y=CHART_HEIGHT - 2 height=2 />
            {part("chart-bad", failed, 0)}
            {part("chart-good", refreshed, failed)}
        </g>
    }
}

/// Returns the height of a bar's part, at least 4 so that it is visible. Two parts together fit into the drawing.
fn bar_height(count: u32, most: u32) -> u32 {
    if count == 0 { 0 } else { (count * MAX_BAR_HEIGHT / most).max(4) }
}

fn row(hour: &HourView) -> impl IntoView + use<> {
    view! {
        <tr>
            <th scope="row">{time::absolute(hour.begins_at)}</th>
            <td>{hour.failed}</td>
            <td>{hour.refreshed}</td>
        </tr>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_heights_are_proportional_and_fit_the_drawing() {
        assert_eq!((bar_height(0, 10), bar_height(10, 10), bar_height(5, 10)), (0, 64, 32));
        assert_eq!(bar_height(1, 1_000), 4, "a single event is visible");
        for (refreshed, failed) in [(1_000, 1), (1, 1_000), (500, 500)] {
            assert!(bar_height(refreshed, refreshed + failed) + bar_height(failed, refreshed + failed) <= CHART_HEIGHT);
        }
    }
}
