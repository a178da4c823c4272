// Short texts and what tokenizers count of them, for the test of the estimate.
// Counted with the vocabularies that their owners publish; the texts were written
// for this, but for the beginning of a novel of 1851.
#ifndef ESTIMATE_TEXTS_H
#define ESTIMATE_TEXTS_H

enum text_kind { PROSE, CODE, JSON, FIGURES, LATIN, CJK, OTHER, TEXT_KIND_COUNT };
enum { O200K, CL100K, LLAMA3, CLAUDE2, DEEPSEEK, TEKKEN, TOKENIZER_COUNT };

static const char *const tokenizer_names[TOKENIZER_COUNT] = {
    [O200K] = "o200k",      [CL100K] = "cl100k",     [LLAMA3] = "Llama 3",
    [CLAUDE2] = "Claude 2", [DEEPSEEK] = "DeepSeek", [TEKKEN] = "Tekken"};

static const struct counted_text {
    const char *what;
    enum text_kind kind;
    int tokens[TOKENIZER_COUNT];
    const char *text;
} counted_texts[] = {
    {"English prose",
     PROSE,
     {50, 52, 52, 52, 51, 52},
     "Call me Ishmael. Some years ago, never mind how long precisely, having little "
     "or no money in my purse, and nothing particular to interest me on shore, I tho"
     "ught I would sail about a little and see the watery part of the world."},
    {"a question",
     PROSE,
     {36, 36, 36, 36, 36, 36},
     "Please summarise the following support ticket in two sentences and say which t"
     "eam should handle it. The customer writes that the invoice for March was charg"
     "ed twice and wants the second payment back."},
    {"a school problem",
     PROSE,
     {50, 50, 50, 48, 50, 55},
     "A farmer has 17 sheep and 5 goats. He buys 12 more sheep for $45 each and sell"
     "s 3 goats at $30 each. How much money did he spend in total, and how many anim"
     "als are left on his farm?"},
    {"science",
     PROSE,
     {27, 27, 27, 25, 23, 24},
     "Mitochondrial dysfunction has been implicated in neurodegenerative disorders, "
     "although the mechanisms by which oxidative phosphorylation is impaired remain "
     "controversial."},
    {"a list",
     PROSE,
     {36, 36, 36, 37, 36, 36},
     "Which of these is not a renewable source of energy?\nA. Wind\nB. Solar radiati"
     "on\nC. Natural gas\nD. Tides\nAnswer with the letter only."},
    {"C",
     CODE,
     {70, 69, 69, 75, 71, 70},
     "static size_t count_words(const char *text) {\n    size_t words = 0;\n    bool"
     " inside = false;\n    for (; *text != '\\0'; text++) {\n        bool letter = "
     "isalnum((unsigned char)*text);\n        words += letter && !inside;\n        i"
     "nside = letter;\n    }\n    return words;\n}\n"},
    {"Python",
     CODE,
     {71, 70, 70, 75, 71, 73},
     "def moving_average(values, window=3):\n    \"\"\"Mean of the last `window` val"
     "ues.\"\"\"\n    if not values:\n        raise ValueError('no values')\n    ret"
     "urn [sum(values[max(0, i - window + 1):i + 1]) / min(window, i + 1)\n         "
     "   for i in range(len(values))]\n"},
    {"JavaScript",
     CODE,
     {50, 48, 48, 56, 51, 54},
     "export const debounce = (fn, ms = 250) => {\n  let timer = null;\n  return (.."
     ".args) => {\n    clearTimeout(timer);\n    timer = setTimeout(() => fn.apply(n"
     "ull, args), ms);\n  };\n};\n"},
    {"SQL",
     CODE,
     {65, 65, 65, 77, 69, 72},
     "SELECT c.name, COUNT(o.id) AS orders, SUM(o.amount) AS total\nFROM customers c"
     " LEFT JOIN orders o ON o.customer_id = c.id\nWHERE o.created_at >= '2024-01-01"
     "' GROUP BY c.name HAVING SUM(o.amount) > 1000 ORDER BY total DESC;"},
    {"HTML",
     CODE,
     {37, 37, 37, 39, 37, 37},
     "<ul class=\"menu\"><li><a href=\"/home\">Home</a></li><li><a href=\"/about?lan"
     "g=en\">About us</a></li></ul>"},
    {"JSON",
     JSON,
     {57, 55, 55, 57, 59, 59},
     "{\"type\":\"function\",\"function\":{\"name\":\"get_weather\",\"description\":"
     "\"Current weather of a place\",\"parameters\":{\"type\":\"object\",\"propertie"
     "s\":{\"city\":{\"type\":\"string\"},\"unit\":{\"type\":\"string\",\"enum\":[\""
     "celsius\",\"fahrenheit\"]}},\"required\":[\"city\"]}}}"},
    {"indented JSON",
     JSON,
     {57, 57, 57, 58, 59, 61},
     "{\n  \"id\": 8412,\n  \"customer\": {\n    \"name\": \"Ada Lovelace\",\n    \""
     "email\": \"ada@example.com\"\n  },\n  \"tags\": [\n    \"new\",\n    \"urgent"
     "\"\n  ],\n  \"paid\": true\n}"},
    {"a table of figures",
     FIGURES,
     {76, 76, 76, 73, 76, 116},
     "2024-01-05,1840,17.25,0.0031\n2024-01-06,1912,18.50,0.0029\n2024-01-07,2077,16"
     ".00,0.0040\n2024-01-08,1655,15.75,0.0038\n"},
    {"hexadecimal",
     FIGURES,
     {71, 70, 70, 72, 72, 111},
     "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb3e23e816003959"
     "4a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d"},
    {"identifiers",
     FIGURES,
     {66, 66, 66, 69, 66, 100},
     "550e8400-e29b-41d4-a716-446655440000 6ba7b810-9dad-11d1-80b4-00c04fd430c8 f47a"
     "c10b-58cc-4372-a567-0e02b2c3d479"},
    {"base64",
     FIGURES,
     {148, 151, 151, 154, 149, 156},
     "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB1L9RIvNEVUxTveLruM0rfj0WAK1jHDhaXXzO"
     "I8d4VFmtvBtMkA/+SNV1tdpcY4BAEl9l2w/j4kSUt26phkV9mGCE/tCLl4r019GWp0RqhrWACeY2th"
     "HbFiEbZamq3/KcXlLZxQjFAjRzRNjAetkcvWBor8df9ikvBioJyjgciecQ=="},
    {"a log",
     FIGURES,
     {66, 66, 66, 65, 68, 99},
     "2025-11-21T10:15:02.113Z INFO http GET /v1/items/48213 200 17ms 10.0.3.17\n202"
     "5-11-21T10:15:02.640Z WARN db slow query 912ms rows=18233\n"},
    {"German",
     LATIN,
     {32, 46, 46, 49, 40, 34},
     "Das ist ein Beispiel für einen längeren Satz in deutscher Sprache, der einige "
     "zusammengesetzte Wörter wie Geschwindigkeitsbegrenzung und Krankenversicherung"
     " enthält."},
    {"French",
     LATIN,
     {28, 36, 36, 38, 37, 31},
     "Veuillez résumer le texte suivant en trois phrases, puis indiquez les points q"
     "ui restent à éclaircir avant la réunion de demain après-midi."},
    {"Spanish",
     LATIN,
     {28, 34, 33, 37, 31, 27},
     "Por favor, traduce este párrafo al inglés y explica brevemente por qué el auto"
     "r eligió esas palabras para describir la ciudad."},
    {"Polish",
     LATIN,
     {36, 39, 39, 52, 40, 36},
     "Proszę napisać krótką odpowiedź dla klienta, który pyta o stan swojego zamówie"
     "nia i chciałby zmienić adres dostawy."},
    {"Turkish",
     LATIN,
     {27, 45, 25, 51, 44, 35},
     "Lütfen aşağıdaki metni özetleyin ve müşterinin hangi ürün hakkında şikayet ett"
     "iğini kısaca açıklayın."},
    {"Vietnamese",
     LATIN,
     {24, 46, 23, 61, 38, 24},
     "Hãy tóm tắt đoạn văn sau đây bằng tiếng Việt và cho biết ý chính của tác giả l"
     "à gì."},
    {"Russian",
     OTHER,
     {26, 43, 32, 53, 33, 30},
     "Пожалуйста, кратко изложите содержание письма и укажите, какой отдел должен от"
     "ветить клиенту до конца недели."},
    {"Greek",
     OTHER,
     {31, 74, 34, 97, 40, 35},
     "Παρακαλώ γράψε μια σύντομη περίληψη του κειμένου και εξήγησε τι ζητάει ο πελάτ"
     "ης."},
    {"Arabic",
     OTHER,
     {23, 48, 29, 59, 29, 23},
     "يرجى تلخيص النص التالي في جملتين وتوضيح ما يطلبه العميل من فريق الدعم."},
    {"Hebrew",
     OTHER,
     {27, 68, 68, 58, 31, 32},
     "אנא סכם את הטקסט הבא בשני משפטים והסבר מה הלקוח מבקש מצוות התמיכה."},
    {"Hindi",
     OTHER,
     {29, 82, 47, 91, 49, 34},
     "कृपया निम्नलिखित पाठ का दो वाक्यों में सारांश लिखें और बताएं कि ग्राहक क्या चा"
     "हता है।"},
    {"Thai",
     OTHER,
     {27, 61, 29, 110, 26, 36},
     "กรุณาสรุปข้อความต่อไปนี้เป็นสองประโยคและอธิบายว่าลูกค้าต้องการอะไร"},
    {"Chinese",
     CJK,
     {30, 48, 35, 46, 26, 42},
     "请用两句话总结下面的客户邮件，并说明应该由哪个部门来处理这个问题。客户希望在本周五之前收到退"
     "款。"},
    {"Japanese",
     CJK,
     {38, 55, 38, 53, 36, 38},
     "次の文章を二文で要約し、お客様が何を求めているのかを簡単に説明してください。返金は金曜日まで"
     "に必要です。"},
    {"Korean",
     CJK,
     {33, 58, 35, 61, 38, 29},
     "다음 글을 두 문장으로 요약하고 고객이 무엇을 원하는지 간단히 설명해 주세요. 환불은 "
     "금요일까지 필요합니다."},
    {"emoji",
     OTHER,
     {23, 26, 26, 29, 26, 30},
     "Great job 🎉🎉 see you tomorrow 👋 don't forget the cake 🍰 and the keys 🔑!"},
    {"a rule of signs",
     CODE,
     {14, 13, 13, 15, 16, 16},
     "----------------------------------------\n== Results ==\n====================="
     "===================\n* first\n* second\n"},
};

#endif
