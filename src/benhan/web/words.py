"""Sentences a page says after an act."""

from __future__ import annotations

from benhan.web.i18n import N_

#: What a page says after an act; the address carries only the key.
DONE = {
    "da-luu": N_("Đã lưu."),
    "da-ky": N_("Đã ký."),
    "da-rut": N_("Đã rút chữ ký; bản cũ vẫn được giữ."),
    "da-cap": N_("Đã cấp giấy."),
    "da-dang-ky": N_("Đã đăng ký người bệnh."),
    "da-nhap-vien": N_("Đã nhập viện."),
    "da-mo": N_("Đã mở hồ sơ bệnh án."),
    "da-chi-dinh": N_("Đã ra chỉ định."),
    "da-huy": N_("Đã hủy; lý do được giữ lại."),
    "da-co-ket-qua": N_("Đã nhập kết quả."),
    "da-ghi": N_("Đã ghi."),
    "da-dung": N_("Đã ghi một lần dùng thuốc."),
    "da-ngung": N_("Đã ngừng thuốc."),
    "da-ra-vien": N_("Đã cho ra viện."),
    "da-chuyen": N_("Đã yêu cầu chuyển khoa; chờ khoa nhận."),
    "da-nhan-khoa": N_("Đã nhận người bệnh vào khoa."),
    "da-ket-thuc-to": N_("Đã kết thúc và ký tờ."),
    "da-tong-ket": N_("Đã tổng kết hồ sơ."),
    "da-nop": N_("Đã nộp hồ sơ về phòng KHTH."),
    "da-nhan": N_("Đã nhận hồ sơ."),
    "da-tra": N_("Đã trả hồ sơ về khoa."),
    "da-dong": N_("Đã đóng và niêm phong hồ sơ."),
    "da-bo-sung": N_("Đã ghi bổ sung và ký."),
    "da-mo-lai": N_("Đã mở lại hồ sơ."),
    "da-mo-quyen": N_("Đã ghi quyền xem; hệ thống đã ghi nhật ký."),
    "da-the": N_("Đã ghi thẻ BHYT."),
    "da-doi-mat-khau": N_("Đã đổi mật khẩu. Đăng nhập bằng mật khẩu mới."),
}
