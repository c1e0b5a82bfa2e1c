import java.io.File;
import java.io.FileInputStream;
import java.io.StringReader;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;
import javax.xml.transform.stream.StreamSource;
import net.sf.saxon.s9api.Processor;
import net.sf.saxon.s9api.XdmDestination;
import net.sf.saxon.s9api.XdmItem;
import net.sf.saxon.s9api.XdmNode;
import net.sf.saxon.s9api.XPathCompiler;
import net.sf.saxon.s9api.XsltCompiler;
import net.sf.saxon.s9api.XsltExecutable;
import net.sf.saxon.s9api.XsltTransformer;
import org.mustangproject.validator.ZUGFeRDValidator;
import org.verapdf.gf.foundry.VeraGreenfieldFoundryProvider;
import org.verapdf.pdfa.Foundries;
import org.verapdf.pdfa.PDFAParser;
import org.verapdf.pdfa.PDFAValidator;
import org.verapdf.pdfa.flavours.PDFAFlavour;
import org.verapdf.pdfa.results.TestAssertion;

/** Judges electronic invoices and PDF/A: prints a line "FILE: RULE: TEXT" for each fault, and "judged N" at the end. */
public class Judge {
    private static final String EN16931 = "/external/schematron/1.3.16/";
    private static final String PEPPOL = "/external/schematron/openpeppol/2026.5/xslt/PEPPOL-EN16931-UBL.xslt";

    private final Processor processor = new Processor(false);
    private final XsltExecutable ubl = rules(EN16931 + "ubl/EN16931-UBL-validation.xslt");
    private final XsltExecutable cii = rules(EN16931 + "cii/EN16931-CII-validation.xslt");
    private final XsltExecutable peppol = rules(PEPPOL);

    public static void main(String[] files) throws Exception {
        Judge judge = new Judge();
        for (String file : files) {
            for (String fault : judge.faults(new File(file))) {
                System.out.println(file + ": " + fault);
            }
        }
        System.out.println("judged " + files.length);
    }

    private XsltExecutable rules(String path) {
        try {
            URL url = Judge.class.getResource(path);
            XsltCompiler compiler = processor.newXsltCompiler();
            return compiler.compile(new StreamSource(url.openStream(), url.toString()));
        } catch (Exception error) {
            throw new IllegalStateException(path, error);
        }
    }

    private List<String> faults(File file) throws Exception {
        List<String> faults = new ArrayList<>();
        String name = file.getName();
        if (name.endsWith(".ubl.xml")) {
            faults.addAll(failed(ubl, file));
            faults.addAll(failed(peppol, file));
        } else if (name.endsWith(".cii.xml")) {
            faults.addAll(failed(cii, file));
            faults.addAll(mustang(file));
        } else {
            faults.addAll(archive(file));
            if (name.endsWith(".factur-x.pdf")) {
                faults.addAll(mustang(file));
            }
        }
        return faults;
    }

    /** The assertions of a Schematron that failed. */
    private List<String> failed(XsltExecutable rules, File file) throws Exception {
        XsltTransformer transformer = rules.load();
        XdmDestination report = new XdmDestination();
        transformer.setSource(new StreamSource(file));
        transformer.setDestination(report);
        transformer.transform();
        return texts(report.getXdmNode(), "//svrl:failed-assert/concat(@id, ': ', normalize-space(string(svrl:text)), ' at ', @location)");
    }

    /** Whether a PDF keeps to the part of PDF/A that it names, by veraPDF. */
    private List<String> archive(File file) throws Exception {
        List<String> faults = new ArrayList<>();
        VeraGreenfieldFoundryProvider.initialise();
        try (PDFAParser parser = Foundries.defaultInstance().createParser(new FileInputStream(file))) {
            if (parser.getFlavour() == PDFAFlavour.NO_FLAVOUR) {
                faults.add("verapdf: it names no part of PDF/A");
                return faults;
            }
            PDFAValidator validator = Foundries.defaultInstance().createValidator(parser.getFlavour(), false);
            for (TestAssertion assertion : validator.validate(parser).getTestAssertions()) {
                if (assertion.getStatus() == TestAssertion.Status.FAILED) {
                    faults.add("verapdf: " + assertion.getRuleId() + ": " + assertion.getMessage());
                }
            }
        }
        return faults;
    }

    private List<String> mustang(File file) throws Exception {
        String report = new ZUGFeRDValidator().validate(file.getAbsolutePath());
        XdmNode node = processor.newDocumentBuilder().build(new StreamSource(new StringReader(report)));
        List<String> faults = texts(node, "//error/concat('mustang: ', normalize-space(string(.)))");
        if (!texts(node, "/validation/summary/string(@status)").contains("valid")) {
            faults.add("mustang: " + report.replaceAll("\\s+", " "));
        }
        return faults;
    }

    private List<String> texts(XdmNode node, String path) throws Exception {
        XPathCompiler compiler = processor.newXPathCompiler();
        compiler.declareNamespace("svrl", "http://purl.oclc.org/dsdl/svrl");
        List<String> texts = new ArrayList<>();
        for (XdmItem item : compiler.evaluate(path, node)) {
            texts.add(item.getStringValue());
        }
        return texts;
    }
}
