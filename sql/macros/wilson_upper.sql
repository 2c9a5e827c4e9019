-- Upper end of the 95 % score interval of a proportion; null at n = 0. Source: see wilson_lower.
create or replace macro wilson_upper(successes, n) as
case
    when n > 0 then least(
        1.0,
        (
            successes + 1.959963984540054 ** 2 / 2
            + 1.959963984540054 * sqrt(greatest(0.0, cast(successes as double) * (n - successes) / n) + 1.959963984540054 ** 2 / 4)
        ) / (n + 1.959963984540054 ** 2)
    )
end
