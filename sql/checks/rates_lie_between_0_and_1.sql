-- Rates and the ends of their intervals are proportions, and each rate lies inside its intervals.
-- severity: error
-- share of: marts.success_by_day
select
    created_date,
    success_rate,
    success_rate_lower,
    success_rate_upper,
    clustered_lower,
    clustered_upper
from marts.success_by_day
where
    success_rate not between 0 and 1
    or success_rate not between success_rate_lower - 1e-9 and success_rate_upper + 1e-9
    or success_rate not between clustered_lower - 1e-9 and clustered_upper + 1e-9
    or success_rate_lower < 0
    or success_rate_upper > 1
    or clustered_lower < 0
    or clustered_upper > 1
