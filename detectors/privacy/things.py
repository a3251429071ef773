"""What a number is of, told by the word before it: goods and papers, rows and requests are no persons."""

import re
from typing import Final

_REACH: Final = 40
"""Characters before a number within which the word stands."""

_GOODS: Final = (
    r"part|parts|p/n|pn|order|item|invoice|sku|model|ticket|case|serial|s/n|catalog(?:ue)?|product|stock|lot|batch"
    r"|reference|ref|tracking|article|isbn|version|build|docket|bill|quote|po|claim|job|asset|art|teile?nr|artikel"
    r"|bestell"
)
# What has a number of many digits. A person may be asked for a card as a user, but not as a user id.
_RECORDS: Final = (
    r"transaction|txn|tx|trace|span|request|tweet|shipment|parcel|package|booking|reservation|event|row|index"
    r"|offset|sequence|seq|seed|nonce|timestamp|ts|epoch|barcode|ean|upc|gtin|imei|iccid|imsi|device|node|thread"
    r"|process|snowflake|hash|id|uid|uuid|commit|meter|vin|pedido|factura|fattura|facture|commande|suivi|sendungs"
    r"|rechnungs|auftrags|vorgangs|zamówieni[ea]|zlecenie|sipariş"
    r"|(?:session|user|customer|client|member|message|msg|employee|post|account|contract|policy|file|object|doc)"
    r"[ _-]?(?=id|no|nr|num|#)"
)
_FOREIGN: Final = (
    r"(?:订单号?|訂單|單號|单号|运单号?|快递|注文番号|追跡番号|주문번호|송장번호|заказа?|трек|накладная|รหัสพัสดุ"
    r"|رقم الطلب)(?:号|號|是|は|는|№|номер)?[\s.:：#№=]{0,3}\Z"
)
_NUMBERED: Final = (
    r"(?:nummer|nr)?[\"'`]?[\s.:#_-]{0,3}(?:numbers?|nos?|nr|num|code|ids?|is|was)?[\"'`]?"
    r"[\s.:#=(\"'`-]{0,4}\Z"
)
_OF_GOODS = re.compile(rf"(?<![A-Za-z])(?:{_GOODS}){_NUMBERED}", re.IGNORECASE)
_OF_RECORD = re.compile(
    rf"(?<![A-Za-z])(?:{_GOODS}|{_RECORDS}){_NUMBERED}|{_FOREIGN}|(?<!\w)#\Z", re.IGNORECASE
)
# A phone's number, too, follows "Parts:", "to order" or "Bill": goods say that theirs is one.
_OF_STOCK = re.compile(
    r"(?<![A-Za-z])(?:(?:sku|p/n|s/n|isbn|upc|ean|serial|model|invoice|docket|batch|catalog(?:ue)?|teile?nr)"
    rf"{_NUMBERED}|(?:{_GOODS})(?:nummer|nr|[\s_-]?(?:no|nr|num|number|id|code)(?![A-Za-z])|\s?#){_NUMBERED})",
    re.IGNORECASE,
)


def is_of_stock(text: str, start: int) -> bool:
    """Say whether the number at `start` is said to be that of goods or of a paper, and not a phone's."""
    return _OF_STOCK.search(text, max(0, start - _REACH), start) is not None


def is_of_goods(text: str, start: int) -> bool:
    """Say whether a word says what the number at `start` is of, and it is something made, sold or filed."""
    return _OF_GOODS.search(text, max(0, start - _REACH), start) is not None


def is_of_record(text: str, start: int) -> bool:
    """Say the same, also of what only programs number: requests, rows, transactions, user ids."""
    return _OF_RECORD.search(text, max(0, start - _REACH), start) is not None
