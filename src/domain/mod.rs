//! The words of the trade: identifiers, money, time, assets, markets and orders. Values only, valid by construction.
