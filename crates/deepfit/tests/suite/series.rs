//! The examples on real series beat the forecast that nothing changes.

#[path = "../../examples/airline.rs"]
mod airline;
#[path = "../../examples/sunspots.rs"]
mod sunspots;

#[test]
fn an_lstm_forecasts_sunspots_better_than_last_years_number() {
    let (network, last) = sunspots::run().unwrap();
    assert!(network < 0.8 * last, "{network} and {last}");
}

#[test]
fn a_gru_forecasts_passengers_better_than_last_months_number() {
    let (network, last) = airline::run().unwrap();
    assert!(network < 0.6 * last, "{network} and {last}");
}
