-- Lower end of the 95 % score interval of a proportion; null at n = 0.
-- Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212.
create or replace macro wilson_lower(successes, n) as
case
    when n > 0 then greatest(
        0.0,
        (
            successes + 1.959963984540054 ** 2 / 2
            - 1.959963984540054 * sqrt(greatest(0.0, cast(successes as double) * (n - successes) / n) + 1.959963984540054 ** 2 / 4)
        ) / (n + 1.959963984540054 ** 2)
    )
end
